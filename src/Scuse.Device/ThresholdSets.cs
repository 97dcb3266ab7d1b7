using System.Buffers.Binary;
using System.Numerics;
using Scuse.Scsi;

namespace Scuse.Device;

/// <summary>
/// The room behind a thin disk, counted in threshold sets as SBC counts it, and the parameters of the Logical Block Provisioning log page that say so. SBC-5 clauses 4.7.3.7.2 and 6.4.5.
/// </summary>
public static class ThresholdSets
{
    /// <summary>How many bytes of blocks are a threshold set.</summary>
    public const int SetBytes = 1 << 20;

    /// <summary>The log parameter for what is available, and the threshold resource.</summary>
    public const byte Available = 0x01;

    /// <summary>The log parameter for what is used, and the threshold resource.</summary>
    public const byte Used = 0x02;

    /// <summary>Length in bytes of a log parameter, header included.</summary>
    public const int ParameterLength = 12;

    const int HeaderLength = 4, ScopeOffset = 8;
    const byte UnsavedBinaryList = 0x23, Dedicated = 0x01, Shared = 0x02, ScopeMask = 0x03;

    /// <summary>THRESHOLD EXPONENT: how many blocks are a set, as a power of two.</summary>
    public static byte Exponent(int blockSize) => (byte)BitOperations.Log2((uint)(SetBytes / blockSize));

    /// <summary>Writes one log parameter. What is used counts in full for a set begun; what is available only for a whole one.</summary>
    /// <param name="parameter">Cleared memory of <see cref="ParameterLength"/> bytes.</param>
    /// <param name="code"><see cref="Available"/> or <see cref="Used"/>.</param>
    /// <param name="resources">What there is.</param>
    public static void Write(Span<byte> parameter, byte code, in BlockResources resources)
    {
        long sets = code == Used ? (Math.Max(0, resources.UsedBytes) + SetBytes - 1) / SetBytes : Math.Max(0, resources.AvailableBytes) / SetBytes;
        BinaryPrimitives.WriteUInt16BigEndian(parameter, code);
        parameter[2] = UnsavedBinaryList;
        parameter[3] = ParameterLength - HeaderLength;
        BinaryPrimitives.WriteUInt32BigEndian(parameter[HeaderLength..], (uint)Math.Min(sets, uint.MaxValue));
        parameter[ScopeOffset] = code == Available && resources.IsShared ? Shared : Dedicated;
    }

    /// <summary>Reads a log page of another device server; null where it does not say both.</summary>
    /// <param name="page">The page, header included.</param>
    public static BlockResources? Read(ReadOnlySpan<byte> page)
    {
        if (page.Length < HeaderLength || (page[0] & 0x3F) != LogPage.LogicalBlockProvisioning)
        {
            return null;
        }

        ReadOnlySpan<byte> rest = page.Slice(HeaderLength, Math.Min(page.Length - HeaderLength, BinaryPrimitives.ReadUInt16BigEndian(page[2..])));
        long? used = null, available = null;
        bool isShared = false;
        while (rest.Length >= HeaderLength && rest.Length >= HeaderLength + rest[3])
        {
            int length = HeaderLength + rest[3];
            if (length > ScopeOffset)
            {
                long bytes = BinaryPrimitives.ReadUInt32BigEndian(rest[HeaderLength..]) * (long)SetBytes;
                switch (BinaryPrimitives.ReadUInt16BigEndian(rest))
                {
                    case Available:
                        available = bytes;
                        isShared = (rest[ScopeOffset] & ScopeMask) != Dedicated;
                        break;
                    case Used:
                        used = bytes;
                        break;
                }
            }

            rest = rest[length..];
        }

        return used is { } usedBytes && available is { } availableBytes ? new BlockResources(usedBytes, availableBytes, isShared) : null;
    }
}
