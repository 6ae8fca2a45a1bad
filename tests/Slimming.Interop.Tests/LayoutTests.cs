using System.Reflection;
using System.Runtime.InteropServices;

namespace Slimming.Interop.Tests;

public class LayoutTests
{
    private static Type TypeOf(string name) =>
        typeof(SlimmingNative).Assembly.GetType($"Slimming.Interop.{name}", throwOnError: true)!;

    [Fact]
    public void The_header_was_understood()
    {
        SlimmingHeader.Structs.Count.ShouldBe(14);
        SlimmingHeader.Enums.Count.ShouldBe(11);
        SlimmingHeader.Functions.Count.ShouldBe(29);
        SlimmingHeader.Structs["slm_tensor"].Count.ShouldBe(7);
    }

    public static TheoryData<string> Structs() => [.. SlimmingHeader.Structs.Keys];

    [Theory]
    [MemberData(nameof(Structs))]
    public void Every_field_lies_where_c_puts_it(string name)
    {
        var type = TypeOf(name);
        var fields = type.GetFields(BindingFlags.Public | BindingFlags.Instance);
        fields.Select(f => f.Name).ShouldBe(SlimmingHeader.Structs[name].Select(f => f.Name));
        var at = 0;
        var alignment = 1;
        foreach (var field in SlimmingHeader.Structs[name])
        {
            var size = SlimmingHeader.SizeOf(field.Type);
            at = (at + size - 1) / size * size;
            alignment = Math.Max(alignment, size);
            ((int)Marshal.OffsetOf(type, field.Name)).ShouldBe(at, field.Name);
            at += size * field.Length;
        }
        Marshal.SizeOf(type).ShouldBe((at + alignment - 1) / alignment * alignment);
    }

    [Fact]
    public void Every_enum_value_is_the_header_s()
    {
        foreach (var (name, values) in SlimmingHeader.Enums)
        {
            var type = TypeOf(name);
            Enum.GetNames(type).ToDictionary(n => n, n => Convert.ToUInt32(Enum.Parse(type, n))).ShouldBe(values, name);
        }
    }

    [Theory]
    [InlineData(typeof(slm_isa), typeof(Isa))]
    [InlineData(typeof(slm_cpu_feature), typeof(CpuFeatures))]
    [InlineData(typeof(slm_rope_type), typeof(RopeType))]
    [InlineData(typeof(slm_activation), typeof(Activation))]
    [InlineData(typeof(slm_compute), typeof(ComputeMode))]
    [InlineData(typeof(slm_method), typeof(TrainMethod))]
    [InlineData(typeof(slm_target), typeof(LoraTargets))]
    [InlineData(typeof(slm_block), typeof(NativeBlock))]
    [InlineData(typeof(slm_phase), typeof(NativePhase))]
    public void Public_enums_carry_the_native_numbers(Type native, Type managed)
    {
        foreach (var name in Enum.GetNames(native))
        {
            var words = name.Split('_').Select(w => w.ToLowerInvariant());
            var match = Enum.GetNames(managed)
                .Where(m =>
                    string.Concat(words).EndsWith(m.ToLowerInvariant(), StringComparison.Ordinal)
                    && Convert.ToUInt32(Enum.Parse(managed, m)) == Convert.ToUInt32(Enum.Parse(native, name))
                );
            match.ShouldNotBeEmpty(name);
        }
    }

    [Fact]
    public void Every_function_is_bound_with_its_parameters()
    {
        var methods = typeof(SlimmingNative).GetMethods(BindingFlags.Static | BindingFlags.NonPublic);
        methods.Select(m => m.Name).ShouldBe(SlimmingHeader.Functions.Select(f => f.Name), ignoreOrder: true);
        foreach (var function in SlimmingHeader.Functions)
        {
            var method = methods.Single(m => m.Name == function.Name);
            method.GetParameters().Length.ShouldBe(function.ParameterCount, function.Name);
            var import = method.GetCustomAttribute<DllImportAttribute>().ShouldNotBeNull();
            (import.Value, import.CallingConvention, import.ExactSpelling).ShouldBe(
                ("slimming", CallingConvention.Cdecl, true)
            );
        }
    }
}
