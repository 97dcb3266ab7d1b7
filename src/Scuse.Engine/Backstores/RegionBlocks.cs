using Scuse.Ring;
using Scuse.Scsi;

namespace Scuse.Engine.Backstores;

/// <summary>Blocks of one region's data area, as extents for the ring and as memory for everybody else.</summary>
sealed class RegionBlocks
{
    readonly ExtentList _out = new();
    readonly ExtentList _in = new();
    Memory<byte>[] _outPieces = new Memory<byte>[4];
    Memory<byte>[] _inPieces = new Memory<byte>[4];

    /// <summary>The handler's region they lie in; null when there are none.</summary>
    public HandlerLink? Link { get; private set; }

    public ReadOnlySpan<DataExtent> Out => _out.AsSpan();

    public ReadOnlySpan<DataExtent> In => _in.AsSpan();

    /// <summary>Takes blocks for both directions, or none.</summary>
    /// <param name="link">The handler.</param>
    /// <param name="outLength">Bytes of Data-Out.</param>
    /// <param name="inLength">Bytes of Data-In.</param>
    /// <param name="owner">Whose bytes they will hold: a nexus' id, or <see cref="BlockOwners.Foreign"/>.</param>
    /// <param name="anyway">Whether other regions' needs do not count.</param>
    public bool TryAllocate(HandlerLink link, int outLength, int inLength, uint owner, bool anyway = false)
    {
        _out.Clear();
        _in.Clear();
        bool taken = anyway ? link.Memory.TryTakeAnyway(outLength, inLength, _out, _in, owner) : link.Memory.TryTake(outLength, inLength, _out, _in, owner);
        if (taken)
        {
            Link = link;
            link.Users++;
            Map(_out, ref _outPieces);
            Map(_in, ref _inPieces);
        }

        return taken;
    }

    public DataBuffer DataOut(int length) => new(_outPieces, _out.Count, length);

    public DataBuffer DataIn(int length) => new(_inPieces, _in.Count, length);

    public void Free()
    {
        if (Link is not { } link)
        {
            return;
        }

        Link = null;
        link.Memory.Give(_out.AsSpan(), _in.AsSpan());
        link.Release();
    }

    void Map(ExtentList extents, ref Memory<byte>[] pieces)
    {
        ReadOnlySpan<DataExtent> list = extents.AsSpan();
        if (pieces.Length < list.Length)
        {
            pieces = new Memory<byte>[list.Length * 2];
        }

        for (int i = 0; i < list.Length; i++)
        {
            pieces[i] = Link!.Region.Slice(list[i].Offset, (int)list[i].Length);
        }
    }
}
