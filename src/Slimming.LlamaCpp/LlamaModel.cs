using System.Runtime.InteropServices;
using System.Text;
using Slimming.Gguf;
using Slimming.LlamaCpp.Interop;

namespace Slimming.LlamaCpp;

/// <summary>A GGUF model opened by llama.cpp. The file passes our own checks first: llama.cpp sees no untrusted byte before them.</summary>
public sealed unsafe class LlamaModel : IDisposable
{
    private readonly ModelHandle _handle;

    private LlamaModel(ModelHandle handle, string path, bool vocabOnly)
    {
        _handle = handle;
        Path = path;
        IsVocabOnly = vocabOnly;
        Vocab = new LlamaVocab(handle, path);
        using var lease = new Lease<llama_model>(handle);
        ContextLength = LlamaNative.llama_model_n_ctx_train(lease.Pointer);
        ChatTemplate = Marshal.PtrToStringUTF8((nint)LlamaNative.llama_model_chat_template(lease.Pointer, null));
        ParameterCount = (long)LlamaNative.llama_model_n_params(lease.Pointer);
        Description = ReadDescription(lease.Pointer);
        // llama.cpp ends the process when it is asked for the heads of a model that was loaded without its layers.
        CacheValuesPerToken = vocabOnly ? 0 : ReadCacheValues(lease.Pointer);
    }

    public string Path { get; }

    /// <summary>True where only the vocabulary was loaded: such a model makes no context.</summary>
    public bool IsVocabOnly { get; }

    public LlamaVocab Vocab { get; }

    /// <summary>Tokens the model was trained on at once (context_length); 0 in a vocabulary-only model.</summary>
    public int ContextLength { get; }

    /// <summary>The Jinja chat template of the file, null where it has none.</summary>
    public string? ChatTemplate { get; }

    /// <summary>Number of weights.</summary>
    public long ParameterCount { get; }

    /// <summary>Keys and values of one token in the cache, for heads of width / heads values; 0 in a vocabulary-only model.</summary>
    public long CacheValuesPerToken { get; }

    /// <summary>Architecture, size and type as llama.cpp words them.</summary>
    public string Description { get; }

    internal ModelHandle Handle => _handle;

    /// <summary>Opens a file, memory mapped.</summary>
    /// <exception cref="GgufException">The file is no sound GGUF file or llama.cpp cannot use it.</exception>
    public static LlamaModel Load(string path, bool vocabOnly = false)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        LlamaRuntime.EnsureLoaded();
        List<FileStamp> files = [];
        try
        {
            using (var file = GgufFile.Open(path))
            {
                VocabCheck.Require(file);
                files.AddRange(file.Parts.Select(FileStamp.Open));
                file.CheckUnchanged();
            }
            return Load(path, vocabOnly, files);
        }
        catch
        {
            files.ForEach(file => file.Dispose());
            throw;
        }
    }

    private static LlamaModel Load(string path, bool vocabOnly, List<FileStamp> files)
    {
        LlamaLog.Clear();
        var options = LlamaNative.llama_model_default_params();
        options.vocab_only = vocabOnly ? (byte)1 : (byte)0;
        options.load_mode = llama_load_mode.LLAMA_LOAD_MODE_MMAP;
        options.n_gpu_layers = 0;
        ModelHandle handle;
        using (var text = new Utf8Text(path))
        {
            handle = new ModelHandle(LlamaNative.llama_model_load_from_file(text.Pointer, options), files);
        }
        if (handle.IsInvalid)
        {
            handle.Dispose();
            throw new GgufException(
                path,
                "load",
                $"llama.cpp {LlamaRuntime.Version} cannot load this model: {LlamaLog.Last()}"
            );
        }
        try
        {
            return new LlamaModel(handle, path, vocabOnly);
        }
        catch
        {
            handle.Dispose();
            throw;
        }
    }

    public void Dispose() => _handle.Dispose();

    private static long ReadCacheValues(llama_model* model) =>
        2L
        * LlamaNative.llama_model_n_layer(model)
        * LlamaNative.llama_model_n_head_kv(model)
        * (LlamaNative.llama_model_n_embd(model) / Math.Max(1, LlamaNative.llama_model_n_head(model)));

    private static string ReadDescription(llama_model* model)
    {
        var buffer = stackalloc sbyte[256];
        var length = LlamaNative.llama_model_desc(model, buffer, 256);
        return length <= 0 ? "" : Encoding.UTF8.GetString((byte*)buffer, Math.Min(length, 255));
    }
}
