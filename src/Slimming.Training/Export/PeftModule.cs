namespace Slimming.Training.Export;

/// <summary>What one linear of the base gets, rows in the order of the GGUF file.</summary>
internal sealed class PeftModule(string weight)
{
    /// <summary>blk.N.attn_q.weight and so on.</summary>
    public string Weight { get; } = weight;

    public string BiasName => Weight[..^"weight".Length] + "bias";

    /// <summary>[r, in].</summary>
    public float[]? A { get; set; }

    /// <summary>[out, r].</summary>
    public float[]? B { get; set; }

    public int Rank { get; set; }

    /// <summary>Factor on B A.</summary>
    public float Scale { get; set; }

    /// <summary>DoRA, [out].</summary>
    public float[]? Magnitude { get; set; }

    /// <summary>Takes the place of the base's, [out].</summary>
    public float[]? Bias { get; set; }

    /// <summary>(IA)3 of the outputs, [out].</summary>
    public float[]? OutputFactors { get; set; }

    /// <summary>(IA)3 of the inputs, [in].</summary>
    public float[]? InputFactors { get; set; }
}
