using System.Buffers.Binary;
using Scuse.Scsi;

namespace Scuse.Target;

/// <summary>PERSISTENT RESERVE IN: what there is, for everybody to read. SPC-4 clause 6.15.</summary>
static class PersistentReserveIn
{
    const int ServiceActionOffset = 1, AllocationLengthOffset = 7;
    const byte ServiceActionMask = 0x1F;
    const int HeaderLength = 8;
    const ushort OnlyPort = 1;

    public static ScsiResult Execute(ReservationState state, bool canPersist, ReadOnlySpan<byte> cdb, DataBuffer dataIn)
    {
        byte[]? data = (cdb[ServiceActionOffset] & ServiceActionMask) switch
        {
            0 => ReadKeys(state),
            1 => ReadReservation(state),
            2 => ReportCapabilities(state, canPersist),
            3 => ReadFullStatus(state),
            _ => null,
        };
        if (data is null)
        {
            return ScsiResult.Check(SenseData.InvalidFieldInCdb(ServiceActionOffset));
        }

        int length = Math.Min(data.Length, BinaryPrimitives.ReadUInt16BigEndian(cdb[AllocationLengthOffset..]));
        dataIn.CopyFrom(data.AsSpan(0, Math.Min(length, dataIn.Length)));
        return ScsiResult.GoodWith(length);
    }

    static byte[] ReadKeys(ReservationState state)
    {
        byte[] data = WithHeader(state, state.Registrations.Count * sizeof(ulong));
        for (int i = 0; i < state.Registrations.Count; i++)
        {
            BinaryPrimitives.WriteUInt64BigEndian(data.AsSpan(HeaderLength + (i * sizeof(ulong))), state.Registrations[i].Key);
        }

        return data;
    }

    static byte[] ReadReservation(ReservationState state)
    {
        const int descriptorLength = 16, typeOffset = 13;
        if (state.Type is not { } type)
        {
            return WithHeader(state, 0);
        }

        byte[] data = WithHeader(state, descriptorLength);
        ulong key = state.Holder is { } holder ? state.Find(holder)!.Key : 0; // of all registrants there is no single key
        BinaryPrimitives.WriteUInt64BigEndian(data.AsSpan(HeaderLength), key);
        data[HeaderLength + typeOffset] = (byte)type; // scope 0: the logical unit
        return data;
    }

    static byte[] ReportCapabilities(ReservationState state, bool canPersist)
    {
        const byte compatibleHandling = 0x10, specIPt = 0x08, allTargetPorts = 0x04, persists = 0x01;
        const byte typeMaskIsValid = 0x80;
        const byte typesBelow8 = 0xEA, type8 = 0x01; // 7, 6, 5, 3 and 1; 8
        byte[] data = new byte[HeaderLength];
        BinaryPrimitives.WriteUInt16BigEndian(data, HeaderLength);
        data[2] = (byte)(compatibleHandling | specIPt | allTargetPorts | (canPersist ? persists : 0));
        data[3] = (byte)(typeMaskIsValid | (state.PersistsThroughPowerLoss ? persists : 0));
        data[4] = typesBelow8;
        data[5] = type8;
        return data;
    }

    static byte[] ReadFullStatus(ReservationState state)
    {
        const int descriptorLength = 24, flagsOffset = 12, typeOffset = 13, relativePortOffset = 18, additionalLengthOffset = 20;
        const byte holds = 0x01;
        byte[] data = WithHeader(state, state.Registrations.Sum(static registration => descriptorLength + TransportId.LengthOf(registration.InitiatorPort)));
        Span<byte> at = data.AsSpan(HeaderLength);
        foreach (Registration registration in state.Registrations)
        {
            BinaryPrimitives.WriteUInt64BigEndian(at, registration.Key);
            if (state.IsHeldBy(registration.InitiatorPort))
            {
                at[flagsOffset] = holds;
                at[typeOffset] = (byte)state.Type!.Value;
            }

            BinaryPrimitives.WriteUInt16BigEndian(at[relativePortOffset..], OnlyPort);
            int idLength = TransportId.Write(at[descriptorLength..], registration.InitiatorPort);
            BinaryPrimitives.WriteUInt32BigEndian(at[additionalLengthOffset..], (uint)idLength);
            at = at[(descriptorLength + idLength)..];
        }

        return data;
    }

    static byte[] WithHeader(ReservationState state, int additionalLength)
    {
        byte[] data = new byte[HeaderLength + additionalLength];
        BinaryPrimitives.WriteUInt32BigEndian(data, state.Generation);
        BinaryPrimitives.WriteUInt32BigEndian(data.AsSpan(4), (uint)additionalLength);
        return data;
    }
}
