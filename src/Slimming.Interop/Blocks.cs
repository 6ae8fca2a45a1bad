using Slimming.Gguf;

namespace Slimming.Interop;

internal static unsafe class Blocks
{
    public static Span<float> ToSpan(float* data, ulong count) =>
        count <= int.MaxValue
            ? new Span<float>(data, (int)count)
            : throw new SlimmingException(
                ExitCode.Usage,
                $"expected at most {int.MaxValue} trainable values, found {count}; choose fewer targets or a smaller rank"
            );
}
