using System.Text;
using Slimming.Gguf;

namespace Slimming.Cli.CommandLine;

/// <summary>
/// Standard output and error as they may be: closed, or with a full disk behind them. Results that cannot be written end the
/// verb with a message; progress and messages that cannot are dropped, for no run of hours shall end over its log.
/// </summary>
internal static class StandardStreams
{
    private const int OutputNumber = 1;
    private const int ErrorNumber = 2;

    /// <summary>Linux's O_CLOEXEC, octal 02000000.</summary>
    private const int CloseOnExec = 0x80000;

    public static void Guard()
    {
        Console.SetOut(new ResultWriter(IsGiven(OutputNumber) ? Console.Out : null));
        Console.SetError(IsGiven(ErrorNumber) ? new MessageWriter(Console.Error) : TextWriter.Null);
    }

    /// <summary>
    /// Whether the caller gave this descriptor. Where it did not, the runtime has taken the free number for a pipe of its own,
    /// which must not be written to; what is inherited never closes on exec, what the runtime opens always does.
    /// </summary>
    private static bool IsGiven(int descriptor)
    {
        if (!OperatingSystem.IsLinux() || !Directory.Exists("/proc/self/fdinfo"))
        {
            return true;
        }
        try
        {
            var flags = File.ReadLines($"/proc/self/fdinfo/{descriptor}")
                .FirstOrDefault(line => line.StartsWith("flags:", StringComparison.Ordinal));
            return flags is null || (Convert.ToInt32(flags["flags:".Length..].Trim(), 8) & CloseOnExec) == 0;
        }
        catch (IOException)
        {
            // Nothing has the number.
            return false;
        }
    }

    /// <param name="inner">Null where the caller closed it.</param>
    private sealed class ResultWriter(TextWriter? inner) : TextWriter
    {
        public override Encoding Encoding => Console.OutputEncoding;

        public override void Write(char value) => Do(writer => writer.Write(value));

        public override void Write(string? value) => Do(writer => writer.Write(value));

        public override void Write(char[] buffer, int index, int count) =>
            Do(writer => writer.Write(buffer, index, count));

        public override void WriteLine(string? value) => Do(writer => writer.WriteLine(value));

        public override void Flush() => inner?.Flush();

        private void Do(Action<TextWriter> write)
        {
            try
            {
                write(inner ?? throw new IOException("closed"));
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                throw new SlimmingException(
                    ExitCode.Failed,
                    $"standard output: expected a place for the results, found: {e.Message}; send it to another file or program",
                    e
                );
            }
        }
    }

    private sealed class MessageWriter(TextWriter inner) : TextWriter
    {
        public override Encoding Encoding => Console.OutputEncoding;

        public override void Write(char value) => Try(writer => writer.Write(value));

        public override void Write(string? value) => Try(writer => writer.Write(value));

        public override void Write(char[] buffer, int index, int count) =>
            Try(writer => writer.Write(buffer, index, count));

        public override void WriteLine(string? value) => Try(writer => writer.WriteLine(value));

        public override void Flush() => Try(writer => writer.Flush());

        private void Try(Action<TextWriter> write)
        {
            try
            {
                write(inner);
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                // There is no place left to say so; the exit code tells how the verb ended.
            }
        }
    }
}
