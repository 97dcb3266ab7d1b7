using Scuse.Device;
using Scuse.Scsi;
using static System.Buffers.Binary.BinaryPrimitives;

namespace Scuse.Target;

/// <summary>RECEIVE COPY RESULTS and its relatives: what became of a nexus's copies, and what a copy may ask for. SPC-4 clauses 6.20 to 6.26.</summary>
static class CopyResults
{
    const int AllocationLengthOffset = 10;

    // COPY COMMAND STATUS and COPY OPERATION STATUS. SPC-4 tables 254 and 249.
    const byte UnderWay1 = 0x00, DoneWell = 0x01, DoneWithErrors = 0x02, DoneWithResidual = 0x03, InForeground = 0x11, InBackground = 0x12, Terminated = 0x60;

    // TRANSFER COUNT UNITS. SPC-4 table 251.
    const byte Bytes = 0x00, Kibibytes = 0x01, Blocks = 0xF1;

    const int Header4Length = 32;

    public static ScsiResult Execute(LogicalUnit unit, Nexus nexus, ReadOnlySpan<byte> cdb, DataBuffer dataIn)
    {
        byte serviceAction = (byte)(cdb[1] & ServiceAction.Mask);
        if (serviceAction == ServiceAction.CopyOperatingParameters)
        {
            return OperatingParameters(cdb, dataIn);
        }

        bool is4 = serviceAction is ServiceAction.CopyStatusLid4 or ServiceAction.RodTokenInformation;
        if (!is4 && serviceAction is not (ServiceAction.CopyStatusLid1 or ServiceAction.CopyDataLid1 or ServiceAction.CopyFailureDetailsLid1))
        {
            return ScsiResult.Check(SenseData.InvalidFieldInCdb(1));
        }

        const int identifierOffset = 2;
        uint identifier = is4 ? ReadUInt32BigEndian(cdb[identifierOffset..]) : cdb[identifierOffset];
        if (nexus.Copies.Find(unit, identifier) is not { } operation || (serviceAction == ServiceAction.CopyStatusLid1 && operation.StatusWasTold))
        {
            return ScsiResult.Check(SenseData.InvalidFieldInCdb(identifierOffset));
        }

        return serviceAction switch
        {
            ServiceAction.CopyStatusLid1 => Status1(operation, cdb, dataIn),
            ServiceAction.CopyStatusLid4 => Status4(operation, cdb, dataIn),
            ServiceAction.RodTokenInformation => TokenInformation(operation, cdb, dataIn),
            ServiceAction.CopyFailureDetailsLid1 => FailureDetails(operation, cdb, dataIn),
            _ => Send(new byte[sizeof(uint)], cdb, dataIn), // no segment holds data for the application client
        };
    }

    // SPC-4 clause 6.25: of a copy that is over it is told once.
    static ScsiResult Status1(CopyOperation operation, ReadOnlySpan<byte> cdb, DataBuffer dataIn)
    {
        Span<byte> data = stackalloc byte[12];
        data.Clear();
        data[4] = operation.Result switch
        {
            null => UnderWay1,
            { IsGood: true } => DoneWell,
            _ => DoneWithErrors,
        };
        WriteUInt16BigEndian(data[5..], (ushort)operation.SegmentsProcessed);
        bool inBytes = operation.BytesCopied <= uint.MaxValue;
        data[7] = inBytes ? Bytes : Kibibytes;
        WriteUInt32BigEndian(data[8..], (uint)(inBytes ? operation.BytesCopied : operation.BytesCopied >> 10));
        operation.StatusWasTold = operation.Result is not null;
        return Send(data, cdb, dataIn);
    }

    static byte StatusOf(CopyOperation operation) => operation.Result switch
    {
        null => operation.Background is null ? InForeground : InBackground,
        { IsGood: true } => DoneWell,
        { Status: ScsiStatus.TaskAborted } => Terminated,
        _ when operation.HasResidual => DoneWithResidual,
        _ => DoneWithErrors,
    };

    // SPC-4 clause 6.24.
    static ScsiResult Status4(CopyOperation operation, ReadOnlySpan<byte> cdb, DataBuffer dataIn)
    {
        Span<byte> data = stackalloc byte[Header4Length + SenseData.MaxDescriptorLength];
        return Send(data[..WriteStatus4(operation, data)], cdb, dataIn);
    }

    static int WriteStatus4(CopyOperation operation, Span<byte> data)
    {
        const uint noMoreUpdates = 0xFFFF_FFFE, soonMs = 200;
        bool isByToken = operation.ServiceAction is ServiceAction.PopulateToken or ServiceAction.WriteUsingToken;
        data.Clear();
        data[4] = operation.ServiceAction; // RESPONSE TO SERVICE ACTION
        data[5] = StatusOf(operation);
        WriteUInt16BigEndian(data[6..], operation.CommandsDone); // OPERATION COUNTER
        WriteUInt32BigEndian(data[8..], operation.Result is null ? soonMs : noMoreUpdates); // ESTIMATED STATUS UPDATE DELAY
        int senseLength = 0;
        if (operation.Result is { } result)
        {
            data[12] = (byte)result.Status;
            senseLength = result.Status == ScsiStatus.CheckCondition ? result.Sense.WriteDescriptor(data[Header4Length..]) : 0;
        }

        data[13] = data[14] = (byte)senseLength; // a multiple of four, as every descriptor is
        data[15] = isByToken ? Blocks : Bytes;
        WriteUInt64BigEndian(data[16..], (ulong)(isByToken ? operation.BytesCopied / operation.Unit.Backstore.Info.BlockSize : operation.BytesCopied));
        WriteUInt16BigEndian(data[24..], (ushort)operation.SegmentsProcessed);
        return Header4Length + senseLength;
    }

    // SPC-4 clause 6.26: the status, then the token, once.
    static ScsiResult TokenInformation(CopyOperation operation, ReadOnlySpan<byte> cdb, DataBuffer dataIn)
    {
        const int tokensLengthSize = 4, descriptorHeaderLength = 2;
        Span<byte> data = stackalloc byte[Header4Length + SenseData.MaxDescriptorLength + tokensLengthSize + descriptorHeaderLength + RodToken.Length];
        int length = WriteStatus4(operation, data);
        Span<byte> tokens = data[length..];
        length += tokensLengthSize;
        if (operation.Token is { } token)
        {
            WriteInt32BigEndian(tokens, descriptorHeaderLength + token.Length);
            token.CopyTo(tokens[(tokensLengthSize + descriptorHeaderLength)..]);
            length += descriptorHeaderLength + token.Length;
        }

        uint allocation = ReadUInt32BigEndian(cdb[AllocationLengthOffset..]);
        bool isWhole = allocation >= length && dataIn.Length >= length;
        ScsiResult sent = Send(data[..length], cdb, dataIn);
        if (operation.Result is not null && (isWhole || allocation == 0))
        {
            operation.Token = null;
        }

        return sent;
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
