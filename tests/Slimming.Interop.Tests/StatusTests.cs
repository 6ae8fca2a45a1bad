using Slimming.Gguf;
using Slimming.TestSupport;

namespace Slimming.Interop.Tests;

public class StatusTests
{
    [Fact]
    public void Every_status_has_its_exception_and_keeps_the_text()
    {
        foreach (var status in Enum.GetValues<slm_status>().Where(s => s != slm_status.SLM_STATUS_OK))
        {
            var exception = Status.ToException(status, "tensor 'a': expected 3, found 4");
            exception.Message.ShouldBe("tensor 'a': expected 3, found 4", status.ToString());
            if (status == slm_status.SLM_STATUS_CANCELLED)
            {
                exception.ShouldBeOfType<OperationCanceledException>();
                continue;
            }
            (exception is NonFiniteException).ShouldBe(status == slm_status.SLM_STATUS_NONFINITE);
            exception
                .ShouldBeAssignableTo<SlimmingException>()!
                .Code.ShouldBe(
                    status is slm_status.SLM_STATUS_INVALID_ARGUMENT or slm_status.SLM_STATUS_UNSUPPORTED
                        ? ExitCode.Usage
                        : ExitCode.Failed,
                    status.ToString()
                );
        }
        Status.ToException((slm_status)77, "x").Message.ShouldContain("unknown status 77");
    }

    [Fact]
    public void Another_abi_version_is_refused_before_its_sizes_are_asked()
    {
        const uint own = SlimmingNative.SLM_ABI_VERSION;
        var error = Should.Throw<SlimmingException>(() =>
            SlimmingLibrary.CheckAbi("lib.so", own + 1, _ => throw new InvalidOperationException("asked"))
        );
        error.Message.ShouldBe(
            $"lib.so: expected ABI version {own}, found {own + 1}; rebuild program and library together"
        );
        error.Code.ShouldBe(ExitCode.Failed);
    }

    [Fact]
    public void Every_struct_of_another_size_is_refused_by_name()
    {
        SlimmingLibrary.Sizes.Keys.ShouldBe(Enum.GetValues<slm_struct>(), ignoreOrder: true);
        foreach (var wrong in SlimmingLibrary.Sizes.Keys)
        {
            Should
                .Throw<SlimmingException>(() =>
                    SlimmingLibrary.CheckAbi(
                        "lib.so",
                        SlimmingNative.SLM_ABI_VERSION,
                        id => (ulong)SlimmingLibrary.Sizes[id] + (id == wrong ? 8u : 0u)
                    )
                )
                .Message.ShouldContain(wrong.ToString());
        }
        SlimmingLibrary.CheckAbi("lib.so", SlimmingNative.SLM_ABI_VERSION, id => (ulong)SlimmingLibrary.Sizes[id]);
    }

    [Fact]
    public void An_absent_a_broken_and_a_foreign_library_are_named()
    {
        var folder = ScratchFolder.New();
        var path = Path.Combine(folder, SlimmingLibrary.FileName);
        Should.Throw<SlimmingException>(() => SlimmingLibrary.LoadChecked(path)).Message.ShouldContain("is not there");
        File.WriteAllText(path, "no library");
        Should.Throw<SlimmingException>(() => SlimmingLibrary.LoadChecked(path)).Message.ShouldContain("cannot load");
        var foreign = Directory
            .GetFiles(
                AppContext.GetData("Slimming.NativeDirectory") as string ?? "",
                "libggml-base*",
                SearchOption.AllDirectories
            )
            .FirstOrDefault();
        Assert.SkipWhen(foreign == null, "no other native library staged");
        Should
            .Throw<SlimmingException>(() => SlimmingLibrary.LoadChecked(foreign!))
            .Message.ShouldContain("expected libslimming");
    }
}
