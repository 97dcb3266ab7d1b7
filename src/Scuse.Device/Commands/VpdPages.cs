using System.Buffers.Binary;
using Scuse.Scsi;

namespace Scuse.Device.Commands;

/// <summary>The vital product data pages of INQUIRY. SPC-4 clause 7.8, SBC-3 clause 6.6.</summary>
static class VpdPages
{
    /// <summary>The most characters of the serial number that fit a designation descriptor beside the vendor. SPC-4 clause 7.8.6.4.</summary>
    const int MaxSerialLength = 247;

    const int VendorLength = 8;

    /// <summary>In ascending order, as the clause wants them listed.</summary>
    static ReadOnlySpan<byte> Supported =>
    [
        VpdPage.SupportedPages, VpdPage.UnitSerialNumber, VpdPage.DeviceIdentification, VpdPage.ExtendedInquiryData, VpdPage.ThirdPartyCopy,
        VpdPage.BlockLimits, VpdPage.BlockDeviceCharacteristics, VpdPage.LogicalBlockProvisioning,
    ];

    /// <summary>Writes a page into cleared memory. Returns its length in bytes, or 0 when there is no such page.</summary>
    public static int Write(Span<byte> page, byte code, BlockDeviceInfo info, ReadOnlySpan<byte> targetPortDesignators, bool hasCopyManager, bool hasResources)
    {
        Span<byte> body = page[VpdPage.HeaderLength..];
        int bodyLength;
        switch (code)
        {
            case VpdPage.SupportedPages:
                bodyLength = WriteSupportedPages(body, hasCopyManager);
                break;
            case VpdPage.ThirdPartyCopy when hasCopyManager:
                bodyLength = ThirdPartyCopyPage.Write(body, info);
                break;
            case VpdPage.UnitSerialNumber:
                bodyLength = WriteSerial(body, info);
                break;
            case VpdPage.DeviceIdentification:
                bodyLength = WriteDeviceIdentification(body, info, targetPortDesignators);
                break;
            case VpdPage.ExtendedInquiryData:
                bodyLength = WriteExtendedInquiryData(page, info);
                break;
            case VpdPage.BlockLimits:
                bodyLength = WriteBlockLimits(page, info);
                break;
            case VpdPage.BlockDeviceCharacteristics:
                bodyLength = WriteBlockDeviceCharacteristics(page, info);
                break;
            case VpdPage.LogicalBlockProvisioning:
                bodyLength = WriteLogicalBlockProvisioning(page, info, hasResources);
                break;
            default:
                return 0;
        }

        page[1] = code;
        BinaryPrimitives.WriteUInt16BigEndian(page[2..], (ushort)bodyLength);
        return VpdPage.HeaderLength + bodyLength;
    }

    static int WriteSupportedPages(Span<byte> list, bool hasCopyManager)
    {
        int length = 0;
        foreach (byte code in Supported)
        {
            if (code != VpdPage.ThirdPartyCopy || hasCopyManager)
            {
                list[length++] = code;
            }
        }

        return length;
    }

    static int WriteSerial(Span<byte> field, BlockDeviceInfo info)
    {
        int length = Math.Min(info.Serial.Length, MaxSerialLength);
        ControlResponse.WriteAscii(field[..length], info.Serial);
        return length;
    }

    // Designation descriptors: an NAA name, a T10 vendor ID based one, and what the target port adds. SPC-4 clause 7.8.6.
    static int WriteDeviceIdentification(Span<byte> body, BlockDeviceInfo info, ReadOnlySpan<byte> targetPortDesignators)
    {
        const int headerLength = 4;
        const byte binary = 0x01, ascii = 0x02, naa = 0x03, t10VendorId = 0x01;
        Span<byte> at = body;
        at[0] = binary;
        at[1] = naa; // associated with the logical unit
        at[3] = LogicalUnitIdentifier.Length;
        BinaryPrimitives.WriteUInt64BigEndian(at[headerLength..], LogicalUnitIdentifier.FromSerial(info.Serial));
        at = at[(headerLength + LogicalUnitIdentifier.Length)..];

        int serialLength = WriteSerial(at[(headerLength + VendorLength)..], info);
        at[0] = ascii;
        at[1] = t10VendorId;
        at[3] = (byte)(VendorLength + serialLength);
        ControlResponse.WriteAscii(at.Slice(headerLength, VendorLength), info.Vendor);
        at = at[(headerLength + VendorLength + serialLength)..];

        targetPortDesignators.CopyTo(at);
        at = at[targetPortDesignators.Length..];
        return body.Length - at.Length;
    }

    // SPC-4 clause 7.8.7; offsets are those of the page.
    static int WriteExtendedInquiryData(Span<byte> page, BlockDeviceInfo info)
    {
        const int bodyLength = 0x3C;
        const byte headSup = 0x04, ordSup = 0x02, simpSup = 0x01, vSup = 0x01;
        page[5] = headSup | ordSup | simpSup; // the task attributes there are; the target sees to them at every pass level
        page[6] = info.Has(BlockDeviceFeatures.Flush) ? vSup : (byte)0; // a write cache is volatile
        return bodyLength;
    }

    // SBC-3 clause 6.6.4; offsets are those of the page. Fields that stay zero: no limit reported.
    static int WriteBlockLimits(Span<byte> page, BlockDeviceInfo info)
    {
        const int bodyLength = 0x3C;
        const byte wsnz = 0x01; // WRITE SAME of zero blocks is refused
        uint granularity = (uint)Math.Max(1, BlockLimits.GranularityBytes / info.BlockSize);
        uint maxTransfer = BlockLimits.MaxTransferBlocks(info);
        page[4] = wsnz;
        page[5] = BlockLimits.MaxCompareAndWriteBlocks(info); // MAXIMUM COMPARE AND WRITE LENGTH
        BinaryPrimitives.WriteUInt16BigEndian(page[6..], (ushort)granularity); // OPTIMAL TRANSFER LENGTH GRANULARITY
        BinaryPrimitives.WriteUInt32BigEndian(page[8..], maxTransfer); // MAXIMUM TRANSFER LENGTH
        BinaryPrimitives.WriteUInt32BigEndian(page[12..], Math.Min(maxTransfer, (uint)(BlockLimits.OptimalTransferBytes / info.BlockSize))); // OPTIMAL TRANSFER LENGTH
        if (info.Has(BlockDeviceFeatures.Unmap))
        {
            BinaryPrimitives.WriteUInt32BigEndian(page[20..], BlockLimits.MaxUnmapBlocks); // MAXIMUM UNMAP LBA COUNT
            BinaryPrimitives.WriteUInt32BigEndian(page[24..], BlockLimits.MaxUnmapDescriptors); // MAXIMUM UNMAP BLOCK DESCRIPTOR COUNT
            // One block is no granularity, and saying so makes QEMU 7.2 ask for lengths that are no multiple of a 4096-byte block.
            BinaryPrimitives.WriteUInt32BigEndian(page[28..], granularity > 1 ? granularity : 0); // OPTIMAL UNMAP GRANULARITY
        }

        BinaryPrimitives.WriteUInt64BigEndian(page[36..], BlockLimits.MaxWriteSameBlocks(info)); // MAXIMUM WRITE SAME LENGTH
        if (BlockLimits.MaxAtomicBlocks(info) is > 0 and uint maxAtomic)
        {
            // SBC-4 clause 6.6.4. At any place, and without boundaries: MAXIMUM ATOMIC BOUNDARY SIZE stays 0.
            BinaryPrimitives.WriteUInt32BigEndian(page[44..], maxAtomic); // MAXIMUM ATOMIC TRANSFER LENGTH
            BinaryPrimitives.WriteUInt32BigEndian(page[48..], 1); // ATOMIC ALIGNMENT
            BinaryPrimitives.WriteUInt32BigEndian(page[52..], 1); // ATOMIC TRANSFER LENGTH GRANULARITY
        }

        return bodyLength;
    }

    // SBC-3 clause 6.6.2.
    static int WriteBlockDeviceCharacteristics(Span<byte> page, BlockDeviceInfo info)
    {
        const int bodyLength = 0x3C;
        const ushort nonRotating = 0x0001;
        const byte readsAfterBlockErase = 0x40;
        BinaryPrimitives.WriteUInt16BigEndian(page[4..], nonRotating); // MEDIUM ROTATION RATE
        page[7] = info.Has(BlockDeviceFeatures.Unmap | BlockDeviceFeatures.Extents) ? readsAfterBlockErase : (byte)0; // WABEREQ 01b: blocks can be read before they are written anew; WACEREQ 00b: there is no cryptographic erase
        return bodyLength;
    }

    // SBC-3 clause 6.6.6.
    static int WriteLogicalBlockProvisioning(Span<byte> page, BlockDeviceInfo info, bool hasResources)
    {
        const int bodyLength = 4;
        const byte lbpu = 0x80, lbpws = 0x40, lbpws10 = 0x20, lbprz = 0x04, thinProvisioned = 0x02;
        if (info.Has(BlockDeviceFeatures.Unmap))
        {
            page[4] = hasResources ? ThresholdSets.Exponent(info.BlockSize) : (byte)0;
            page[5] = lbpu | lbpws | lbpws10 | lbprz;
            page[6] = thinProvisioned;
        }

        return bodyLength;
    }
}
