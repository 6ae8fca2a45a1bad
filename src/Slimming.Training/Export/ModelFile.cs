using System.Runtime.InteropServices;
using Slimming.Gguf;
using Slimming.Interop;
using Slimming.Models;

namespace Slimming.Training.Export;

/// <summary>The whole model of a full-parameter run: the base's metadata with its trained tensors in F32.</summary>
public static class ModelFile
{
    private const string FileType = "general.file_type";

    /// <param name="path">The file to make.</param>
    /// <param name="model">The base.</param>
    /// <param name="adapter">Its trained tensors.</param>
    /// <param name="overwrite">Replace an existing file.</param>
    /// <param name="template">A chat template to carry in place of the base's.</param>
    public static void Write(
        string path,
        BaseModel model,
        NativeAdapter adapter,
        bool overwrite = false,
        string? template = null
    )
    {
        var metadata = model.File.Metadata.Clone();
        metadata.Set(FileType, GgufValue.Of(0u));
        if (template != null)
        {
            metadata.Set(Tokenizer.TemplateKey, GgufValue.Of(template));
        }
        using var writer = new GgufWriter(path, metadata, overwrite, model.File.Version);
        foreach (var tensor in model.File.Tensors)
        {
            if (adapter.Find(tensor.Name) != null)
            {
                writer.AddTensor(tensor.Name, GgmlType.F32, tensor.Shape);
            }
            else
            {
                writer.AddTensor(tensor.Name, tensor.Type, tensor.Shape, tensor.ByteCount);
            }
        }
        foreach (var tensor in model.File.Tensors)
        {
            if (adapter.Find(tensor.Name) is { } trainable)
            {
                writer.Write(tensor.Name, MemoryMarshal.AsBytes(adapter.ValuesOf(trainable)));
            }
            else
            {
                TensorCopy.Write(writer, model.File, tensor);
            }
        }
        model.File.CheckUnchanged();
        MappedFiles.Check();
        writer.Complete();
    }

    /// <summary>Copies the trained tensors of such a file back into an adapter of its base.</summary>
    public static void Load(string path, NativeAdapter adapter)
    {
        using var file = GgufFile.Open(path);
        TensorCopy.Read(file, adapter);
    }
}
