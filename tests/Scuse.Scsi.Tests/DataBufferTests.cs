using Scuse;

namespace Scuse.Scsi.Tests;

public sealed class DataBufferTests
{
    // 0 1 2 | | 3 4 | 5 6 7 8 9, with an empty piece among them.
    static DataBuffer Pieces() => new([new byte[] { 0, 1, 2 }, Memory<byte>.Empty, new byte[] { 3, 4 }, new byte[] { 5, 6, 7, 8, 9 }], 4, 10);

    [Fact]
    public void Every_slice_holds_its_bytes_in_order()
    {
        DataBuffer buffer = Pieces();
        Assert.All(
            from start in Enumerable.Range(0, 11) from length in Enumerable.Range(0, 11 - start) select (start, length),
            part => Assert.Equal(Enumerable.Range(part.start, part.length).Select(i => (byte)i), buffer.Slice(part.start, part.length).ToArray()));
    }

    [Fact]
    public void A_slice_beyond_the_end_is_refused()
    {
        Assert.Throws<ArgumentOutOfRangeException>(() => Pieces().Slice(8, 3));
        Assert.Throws<ArgumentOutOfRangeException>(() => Pieces().Slice(-1, 3));
        Assert.Throws<ArgumentOutOfRangeException>(() => Pieces().Slice(11));
    }

    [Fact]
    public void Copying_in_crosses_pieces()
    {
        DataBuffer buffer = Pieces();

        buffer.CopyFrom([20, 30, 40, 50], at: 2);

        Assert.Equal([0, 1, 20, 30, 40, 50, 6, 7, 8, 9], buffer.ToArray());
    }

    [Fact]
    public void The_pieces_are_the_memory_itself_and_none_is_empty()
    {
        var lengths = new List<int>();
        foreach (Memory<byte> piece in Pieces().Slice(1, 8))
        {
            lengths.Add(piece.Length);
        }

        Assert.Equal([2, 2, 4], lengths);
    }

    [Fact]
    public void Only_a_part_inside_one_piece_is_single()
    {
        Assert.True(Pieces().Slice(5, 5).TryGetSingle(out Memory<byte> piece));
        Assert.Equal(new byte[] { 5, 6, 7, 8, 9 }, piece.ToArray());
        Assert.False(Pieces().TryGetSingle(out _));
        Assert.True(DataBuffer.Empty.TryGetSingle(out _));
    }
}
