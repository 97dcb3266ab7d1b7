using Scuse.Device;
using Scuse.Scsi;
using static System.Buffers.Binary.BinaryPrimitives;

namespace Scuse.Target;

/// <summary>RECEIVE COPY RESULTS and its relatives: what became of a nexus's copies, and what a copy may ask for. SPC-4 clauses 6.20 to 6.24.</summary>
static class CopyResults
{
    const int AllocationLengthOffset = 10;

    // COPY MANAGER STATUS, COPY OPERATION STATUS. SPC-4 tables 196 and 204.
    const byte UnderWay = 0x00, DoneWell = 0x01, DoneWithErrors = 0x02;

    // TRANSFER COUNT UNITS. SPC-4 table 197.
    const byte Bytes = 0x00, Kibibytes = 0x01;

    public static ScsiResult Execute(Nexus nexus, ReadOnlySpan<byte> cdb, DataBuffer dataIn)
    {
        byte serviceAction = (byte)(cdb[1] & ServiceAction.Mask);
        if (serviceAction == ServiceAction.CopyOperatingParameters)
        {
            return OperatingParameters(cdb, dataIn);
        }

        if (serviceAction is not (ServiceAction.CopyStatusLid1 or ServiceAction.CopyDataLid1 or ServiceAction.CopyFailureDetailsLid1 or ServiceAction.CopyStatusLid4))
        {
            return ScsiResult.Check(SenseData.InvalidFieldInCdb(1));
        }

        const int identifierOffset = 2;
        uint identifier = serviceAction == ServiceAction.CopyStatusLid4 ? ReadUInt32BigEndian(cdb[identifierOffset..]) : cdb[identifierOffset];
        if (nexus.Copies.Find(identifier) is not { } operation)
        {
            return ScsiResult.Check(SenseData.InvalidFieldInCdb(identifierOffset));
        }

        return serviceAction switch
        {
            ServiceAction.CopyStatusLid1 => Status1(operation, cdb, dataIn),
            ServiceAction.CopyStatusLid4 => Status4(operation, cdb, dataIn),
            ServiceAction.CopyFailureDetailsLid1 => FailureDetails(operation, cdb, dataIn),
            _ => Send(new byte[sizeof(uint)], cdb, dataIn), // no segment holds data for the application client
        };
    }

    static byte StatusOf(CopyOperation operation) => operation.Result switch
    {
        null => UnderWay,
        { IsGood: true } => DoneWell,
        _ => DoneWithErrors,
    };

    // SPC-4 clause 6.20.
    static ScsiResult Status1(CopyOperation operation, ReadOnlySpan<byte> cdb, DataBuffer dataIn)
    {
        Span<byte> data = stackalloc byte[12];
        data.Clear();
        data[4] = StatusOf(operation);
        WriteUInt16BigEndian(data[5..], (ushort)operation.SegmentsProcessed);
        bool inBytes = operation.BytesCopied <= uint.MaxValue;
        data[7] = inBytes ? Bytes : Kibibytes;
        WriteUInt32BigEndian(data[8..], (uint)(inBytes ? operation.BytesCopied : operation.BytesCopied >> 10));
        return Send(data, cdb, dataIn);
    }

    // SPC-4 clause 6.21.
    static ScsiResult Status4(CopyOperation operation, ReadOnlySpan<byte> cdb, DataBuffer dataIn)
    {
        const int headerLength = 32;
        const uint unknownDelay = 0xFFFF_FFFE;
        Span<byte> data = stackalloc byte[headerLength + SenseData.MaxDescriptorLength];
        data.Clear();
        data[4] = operation.ServiceAction; // RESPONSE TO SERVICE ACTION
        data[5] = StatusOf(operation);
        WriteUInt16BigEndian(data[6..], 1); // OPERATION COUNTER
        WriteUInt32BigEndian(data[8..], operation.Result is null ? unknownDelay : 0); // ESTIMATED STATUS UPDATE DELAY
        int senseLength = 0;
        if (operation.Result is { } result)
        {
            data[12] = (byte)result.Status;
            senseLength = result.Status == ScsiStatus.CheckCondition ? result.Sense.WriteDescriptor(data[headerLength..]) : 0;
        }

        data[13] = data[14] = (byte)senseLength;
        data[15] = Bytes;
        WriteUInt64BigEndian(data[16..], (ulong)operation.BytesCopied);
        WriteUInt16BigEndian(data[24..], (ushort)operation.SegmentsProcessed);
        return Send(data[..(headerLength + senseLength)], cdb, dataIn);
    }

    // SPC-4 clause 6.23. Of a copy that has not failed there are none.
    static ScsiResult FailureDetails(CopyOperation operation, ReadOnlySpan<byte> cdb, DataBuffer dataIn)
    {
        const int headerLength = 60;
        if (operation.Result is not { IsGood: false } result)
        {
            return Send(new byte[sizeof(uint)], cdb, dataIn);
        }

        Span<byte> data = stackalloc byte[headerLength + SenseData.FixedLength];
        data.Clear();
        data[56] = (byte)result.Status;
        int senseLength = result.Status == ScsiStatus.CheckCondition ? result.Sense.WriteFixed(data[headerLength..]) : 0;
        WriteUInt16BigEndian(data[58..], (ushort)senseLength);
        return Send(data[..(headerLength + senseLength)], cdb, dataIn);
    }

    // SPC-4 clause 6.24. Zeros: no stream devices, no inline and no held data.
    static ScsiResult OperatingParameters(ReadOnlySpan<byte> cdb, DataBuffer dataIn)
    {
        const byte supportsNoListIdentifier = 0x01, granularity512 = 9;
        ReadOnlySpan<byte> descriptors = [ThirdPartyCopyLimits.BlockToBlock, ThirdPartyCopyLimits.BlockToBlockWithOffset, ThirdPartyCopyLimits.IdentificationDescriptor];
        const int headerLength = 44;
        Span<byte> data = stackalloc byte[headerLength + descriptors.Length];
        data.Clear();
        data[4] = supportsNoListIdentifier; // SNLID
        WriteUInt16BigEndian(data[8..], ThirdPartyCopyLimits.MaxCscds);
        WriteUInt16BigEndian(data[10..], ThirdPartyCopyLimits.MaxSegments);
        WriteUInt32BigEndian(data[12..], ThirdPartyCopyLimits.MaxDescriptorListBytes);
        WriteUInt32BigEndian(data[16..], ThirdPartyCopyLimits.MaxSegmentBytes);
        WriteUInt16BigEndian(data[34..], ThirdPartyCopyLimits.MaxConcurrentCopies); // TOTAL CONCURRENT COPIES
        data[36] = ThirdPartyCopyLimits.MaxConcurrentCopies; // MAXIMUM CONCURRENT COPIES
        data[37] = granularity512; // DATA SEGMENT GRANULARITY
        data[43] = (byte)descriptors.Length; // IMPLEMENTED DESCRIPTOR LIST LENGTH
        descriptors.CopyTo(data[headerLength..]);
        return Send(data, cdb, dataIn);
    }

    /// <summary>Sends parameter data after its AVAILABLE DATA field is filled in.</summary>
    static ScsiResult Send(Span<byte> data, ReadOnlySpan<byte> cdb, DataBuffer dataIn)
    {
        WriteUInt32BigEndian(data, (uint)(data.Length - sizeof(uint)));
        int length = (int)Math.Min((uint)data.Length, ReadUInt32BigEndian(cdb[AllocationLengthOffset..]));
        dataIn.CopyFrom(data[..Math.Min(length, dataIn.Length)]);
        return ScsiResult.GoodWith(length);
    }
}
