using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text;
using Scuse.Device;

namespace Scuse.Target;

/// <summary>Blocks in a row.</summary>
/// <param name="Lba">The first.</param>
/// <param name="BlockCount">How many; zero is no error.</param>
readonly record struct BlockRun(ulong Lba, uint BlockCount);

/// <summary>Whether a token can be used, and if not, why.</summary>
enum RodTokenState : byte
{
    Valid,
    Expired,
    Cancelled,
    Deleted,
}

/// <summary>
/// A representation of data (ROD): blocks of a logical unit as they were at a point in time, by a token that whoever has it may copy them with. SPC-4 clause 5.17.6.
/// </summary>
/// <remarks>
/// Nothing is stored of the data. The token is good until one of its blocks may have changed; from then on it is cancelled, which makes what is copied with it always that of the point in
/// time: POINT IN TIME COPY - CHANGE VULNERABLE, and DEFAULT, whose method is left to us. Touched only by the owning thread.
/// </remarks>
sealed class RodToken
{
    /// <summary>Length of a token in bytes.</summary>
    public const int Length = 512;

    /// <summary>ROD TOKEN LENGTH: what follows the header.</summary>
    public const ushort LengthField = 0x01F8;

    public const int TypeOffset = 0, LengthOffset = 6, IdentifierOffset = 8;

    const int CreatorOffset = 16, BytesRepresentedOffset = 48, DeviceSpecificOffset = 96, TargetDescriptorOffset = 128;

    // 128 bytes: SPC-4 wants 32 at least that nobody can guess.
    const int SecretOffset = 384;

    readonly byte[] _bytes = new byte[Length];

    public RodToken(LogicalUnit source, IReadOnlyList<BlockRun> ranges, uint type, ulong identifier, string owner, RandomNumberGenerator randomness)
    {
        Source = source;
        Ranges = ranges;
        Owner = owner;
        Identifier = identifier;
        BlockBytes = source.Backstore.Info.BlockSize;
        LengthBytes = ranges.Sum(static range => (long)range.BlockCount) * BlockBytes;
        Write(type, randomness);
    }

    /// <summary>The logical unit that has the data.</summary>
    public LogicalUnit Source { get; }

    /// <summary>Its blocks, in the order in which they make up the data.</summary>
    public IReadOnlyList<BlockRun> Ranges { get; private set; }

    /// <summary>The initiator port that had it made.</summary>
    public string Owner { get; }

    /// <summary>COPY MANAGER ROD TOKEN IDENTIFIER.</summary>
    public ulong Identifier { get; }

    /// <summary>The block length of <see cref="Source"/> when the token was made.</summary>
    public int BlockBytes { get; }

    /// <summary>How many bytes of data.</summary>
    public long LengthBytes { get; }

    public RodTokenState State { get; private set; }

    /// <summary>How long it is kept without being used.</summary>
    public int InactivityMs { get; init; }

    /// <summary>From when on it has expired, on the target's clock, unless a copy is under way with it.</summary>
    public long ExpiresMs { get; set; }

    /// <summary>From when on it has expired, used or not.</summary>
    public long EndsMs { get; init; }

    /// <summary>How many copies are under way with it.</summary>
    public int Users { get; set; }

    /// <summary>The token as initiators have it.</summary>
    public ReadOnlySpan<byte> Bytes => _bytes;

    public bool IsExpiredAt(long nowMs) => nowMs >= EndsMs || (Users == 0 && nowMs >= ExpiresMs);

    public void End(RodTokenState state)
    {
        State = state;
        Ranges = [];
    }

    /// <summary>Whether a block is both its own and in <paramref name="blocks"/>.</summary>
    public bool Overlaps(in MediumRange blocks)
    {
        foreach (BlockRun range in Ranges)
        {
            if (range.BlockCount > 0 && blocks.Overlaps(new MediumRange(range.Lba, range.Lba + range.BlockCount - 1)))
            {
                return true;
            }
        }

        return false;
    }

    /// <summary>The generic ROD token format. SPC-4 clause 5.17.6.5.</summary>
    void Write(uint type, RandomNumberGenerator randomness)
    {
        Span<byte> token = _bytes;
        BinaryPrimitives.WriteUInt32BigEndian(token, type);
        BinaryPrimitives.WriteUInt16BigEndian(token[LengthOffset..], LengthField);
        BinaryPrimitives.WriteUInt64BigEndian(token[IdentifierOffset..], Identifier);
        LogicalUnitDesignators.WriteCopyDescriptor(token[CreatorOffset..], Source.Backstore.Info);
        BinaryPrimitives.WriteInt64BigEndian(token[(BytesRepresentedOffset + sizeof(long))..], LengthBytes); // of 16 bytes
        BinaryPrimitives.WriteInt32BigEndian(token[DeviceSpecificOffset..], BlockBytes);
        WriteTarget(token[TargetDescriptorOffset..SecretOffset], Source.Target.Name);
        randomness.GetBytes(token[SecretOffset..]);
    }

    // The target's SCSI name string, padded to a multiple of four bytes. SPC-4 clause 7.8.6.11.
    static void WriteTarget(Span<byte> descriptor, string name)
    {
        const int headerLength = 4;
        const byte iscsi = 0x50, utf8 = 0x03, protocolIsValid = 0x80, ofTarget = 0x20, scsiName = 0x08;
        byte[] bytes = Encoding.UTF8.GetBytes(name);
        int length = Math.Min((bytes.Length + 4) / 4 * 4, descriptor.Length - headerLength);
        descriptor[0] = iscsi | utf8;
        descriptor[1] = protocolIsValid | ofTarget | scsiName;
        descriptor[3] = (byte)length;
        bytes.AsSpan(0, Math.Min(bytes.Length, length)).CopyTo(descriptor[headerLength..]);
    }
}
