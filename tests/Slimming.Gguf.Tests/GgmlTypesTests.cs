using Slimming.TestSupport;

namespace Slimming.Gguf.Tests;

public class GgmlTypesTests
{
    [Fact]
    public void Every_type_has_a_block_and_a_name_that_reads_back()
    {
        foreach (var type in Enum.GetValues<GgmlType>())
        {
            GgmlTypes.IsKnown(type).ShouldBeTrue(type.ToString());
            GgmlTypes.TryParse(GgmlTypes.Name(type), out var back).ShouldBeTrue();
            back.ShouldBe(type);
            GgmlTypes.RowBytes(type, GgmlTypes.BlockValues(type) * 3L).ShouldBe(GgmlTypes.BlockBytes(type) * 3L);
        }
        GgmlTypes.TryParse("q9_9", out _).ShouldBeFalse();
        GgmlTypes.IsKnown((GgmlType)4).ShouldBeFalse();
    }

    [Fact]
    public void A_row_that_is_no_whole_number_of_blocks_is_an_error()
    {
        Should.Throw<SlimmingException>(() => GgmlTypes.RowBytes(GgmlType.Q4_K, 576)).Message.ShouldContain("256");
        Should.Throw<SlimmingException>(() => GgmlTypes.RowBytes((GgmlType)999, 32)).Message.ShouldContain("999");
    }

    [Fact]
    public void Block_sizes_fill_the_reference_file()
    {
        using var file = GgufFile.Open(SharedFiles.Require("fixtures/quants/blocks.gguf"));
        file.Tensors.Count.ShouldBe(50);
        foreach (var tensor in file.Tensors)
        {
            GgmlTypes.TryParse(tensor.Name.Split('.')[0], out var type).ShouldBeTrue(tensor.Name);
            tensor.Type.ShouldBe(type);
            tensor.ByteCount.ShouldBe(3 * GgmlTypes.RowBytes(type, 512));
        }
        // Tensors lie end to end but for padding: a block size that is off by one would show here.
        foreach (var (a, b) in file.Tensors.Zip(file.Tensors.Skip(1)))
        {
            ((long)b.Offset).ShouldBe(((long)a.Offset + a.ByteCount + 31) / 32 * 32, a.Name);
        }
    }
}
