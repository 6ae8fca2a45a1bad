using System.Security.Cryptography;
using System.Text;
using Slimming.Gguf;
using Slimming.Interop;
using Slimming.Shared;

namespace Slimming.Models;

/// <summary>A GGUF model file, mapped, checked and opened in the library. Its weights stay in the mapping.</summary>
public sealed class BaseModel : IDisposable
{
    private readonly Lazy<string> _sha256;

    private BaseModel(GgufFile file, NativeModel native, ModelParams parameters)
    {
        File = file;
        Native = native;
        Parameters = parameters;
        ContextLength = ModelConfig.ContextLength(file);
        ChatTemplate = file.Metadata.GetString(Tokenizer.TemplateKey, null);
        _sha256 = new Lazy<string>(() => HashOf(file.Parts));
    }

    public GgufFile File { get; }

    public NativeModel Native { get; }

    public ModelParams Parameters { get; }

    public string Architecture => Parameters.Architecture;

    /// <summary>Tokens the model was trained for.</summary>
    public int ContextLength { get; }

    /// <summary>The head uses the embedding matrix.</summary>
    public bool IsTied => File.Find("output.weight") == null;

    /// <summary>Jinja source in the file.</summary>
    public string? ChatTemplate { get; }

    /// <summary>SHA-256 of <see cref="ChatTemplate"/> in UTF-8, lower-case hex.</summary>
    public string? ChatTemplateSha256 =>
        ChatTemplate == null ? null : Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(ChatTemplate)));

    /// <summary>SHA-256 of the whole file (of a split model: of the parts' SHA-256 in their order), lower-case hex; read once, when first asked for.</summary>
    public string Sha256 => _sha256.Value;

    /// <exception cref="GgufException">The file is no sound model of a known architecture.</exception>
    public static BaseModel Open(string ggufPath, NativeRuntime runtime)
    {
        var file = GgufFile.Open(ggufPath);
        NativeModel? native = null;
        try
        {
            var parameters = ModelConfig.Read(file);
            native = new NativeModel(runtime, parameters, [.. file.Tensors.Select(t => ToNative(file, t))], file);
            return new BaseModel(file, native, parameters);
        }
        catch (Exception e)
        {
            native?.Dispose();
            file.Dispose();
            if (e is SlimmingException { Code: ExitCode.Usage } and not GgufException)
            {
                throw new GgufException(ggufPath, "model", e.Message);
            }
            throw;
        }
    }

    /// <summary>The mapping closes once the last adapter and context of this model is disposed too.</summary>
    public void Dispose() => Native.Dispose();

    private static string HashOf(IReadOnlyList<string> parts) =>
        parts.Count == 1
            ? Durable.Sha256(parts[0])
            : Convert.ToHexStringLower(
                SHA256.HashData([.. parts.SelectMany(part => Convert.FromHexString(Durable.Sha256(part)))])
            );

    private static unsafe NativeTensor ToNative(GgufFile file, GgufTensor tensor) =>
        new(
            tensor.Name,
            tensor.Type,
            tensor.Shape.Count > 0 ? tensor.Shape : [1],
            (nint)file.Pointer(tensor),
            tensor.ByteCount
        );
}
