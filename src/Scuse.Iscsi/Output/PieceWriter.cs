using Scuse.Iscsi.FullFeature;
using Scuse.Iscsi.Pdus;
using Scuse.Scsi;

namespace Scuse.Iscsi.Output;

/// <summary>
/// Puts PDUs together as runs of bytes: headers from a ring, data where it lies. Neighbouring runs in the ring become one. A connection has one only while something is on its way:
/// <see cref="PieceWriterPool"/>.
/// </summary>
internal sealed class PieceWriter
{
    /// <summary>The ring's size: some hundreds of headers.</summary>
    const int RingBytes = 32 * 1024;

    /// <summary>The longest run taken from the ring at once: a SCSI Response with all its sense data and its digests.</summary>
    public const int MaxRunLength = BasicHeader.Length + ScsiResponsePdu.SenseLengthFieldLength + Scuse.Target.ScsiTask.MaxSenseLength + 2 + (2 * Crc32C.Length);

    static readonly byte[] Zeros = GC.AllocateArray<byte>(4, pinned: true);

    readonly ByteRing _ring = new(RingBytes);

    public PieceQueue Pieces { get; } = new();

    /// <summary>Whether all is sent.</summary>
    public bool IsEmpty => Pieces.Count == 0;

    /// <summary>Whether a header can be had now.</summary>
    public bool HasRoom => _ring.HasRoomFor(MaxRunLength);

    /// <summary>A run to write a header to, with its data when that is small.</summary>
    public Span<byte> AddRun(int lengthBytes, IscsiTask? lastOf = null, ControlPdu? control = null)
    {
        int offset = _ring.Allocate(lengthBytes, out int cost);
        if (Pieces.Count > 0 && lastOf is null && control is null)
        {
            ref Piece last = ref Pieces.Last;
            if (last.RingOffset >= 0 && last.RingOffset + last.Memory.Length == offset && last.LastOf is null && last.Control is null)
            {
                last.Memory = _ring.Memory(last.RingOffset, last.Memory.Length + lengthBytes);
                last.RingCost += cost;
                return _ring.Span(offset, lengthBytes);
            }
        }

        Pieces.Add(new Piece { Memory = _ring.Memory(offset, lengthBytes), RingOffset = offset, RingCost = cost, LastOf = lastOf, Control = control });
        return _ring.Span(offset, lengthBytes);
    }

    /// <summary>A run that lies elsewhere.</summary>
    public void AddData(Memory<byte> data, IscsiTask? lastOf = null, ControlPdu? control = null) =>
        Pieces.Add(new Piece { Memory = data, RingOffset = -1, LastOf = lastOf, Control = control });

    /// <summary>A part of a task's Data-In, where it lies.</summary>
    public void AddDataIn(Memory<byte> data, IscsiTask of, int offset, IscsiTask? lastOf) =>
        Pieces.Add(new Piece { Memory = data, RingOffset = -1, LastOf = lastOf, DataOf = of, DataOffset = offset });

    /// <summary>A task's Data-In lies elsewhere now: the parts of it that are still to be sent are taken from there. Rare work.</summary>
    /// <param name="task">The task.</param>
    /// <param name="dataIn">Where all of its Data-In is now.</param>
    /// <param name="sentOfFirst">How much of the first piece has been sent.</param>
    public void Repoint(IscsiTask task, DataBuffer dataIn, ref int sentOfFirst)
    {
        // Once around the queue, so that all stay in their order.
        int count = Pieces.Count;
        for (int i = 0; i < count; i++)
        {
            Piece piece = Pieces.RemoveFirst();
            if (piece.DataOf != task)
            {
                Pieces.Add(piece);
                continue;
            }

            int skip = 0;
            if (i == 0)
            {
                (skip, sentOfFirst) = (sentOfFirst, 0);
            }

            int offset = piece.DataOffset + skip;
            int end = piece.DataOffset + piece.Memory.Length;
            foreach (Memory<byte> part in dataIn.Slice(offset, end - offset))
            {
                offset += part.Length;
                AddDataIn(part, task, offset - part.Length, lastOf: offset == end ? piece.LastOf : null);
            }
        }
    }

    /// <summary>The zero bytes after a data segment of that length.</summary>
    public void AddPadding(int segmentLength)
    {
        int padding = BasicHeader.PaddingFor(segmentLength);
        if (padding > 0)
        {
            AddData(Zeros.AsMemory(0, padding));
        }
    }

    /// <summary>The zero bytes after a data segment, and its digest, which covers them too.</summary>
    /// <param name="segmentLength">The length of the segment in bytes.</param>
    /// <param name="sum">The segment's sum so far.</param>
    public void AddPaddingAndDigest(int segmentLength, uint sum)
    {
        int padding = BasicHeader.PaddingFor(segmentLength);
        Span<byte> run = AddRun(padding + Crc32C.Length);
        run[..padding].Clear();
        Crc32C.Write(run[padding..], Crc32C.Append(sum, run[..padding]));
    }

    /// <summary>Takes the first piece off; it is sent.</summary>
    public Piece RemoveFirst()
    {
        Piece piece = Pieces.RemoveFirst();
        _ring.Free(piece.RingCost);
        return piece;
    }
}
