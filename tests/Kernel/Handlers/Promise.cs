using Scuse.Linux;

namespace Scuse.Kernel.Handlers;

/// <summary>What a daemon says that is going to answer the kernel's notices, and then is not there: SET_FEATURES of the family TCM-USER. It says for the whole kernel and outlives whoever sent it.</summary>
static class Promise
{
    const ushort Control = 0x10, FamilyId = 1, FamilyName = 2, SupportsReplies = 9;
    const byte GetFamily = 3, SetFeatures = 7;
    const int HeaderBytes = 20;

    /// <summary>Makes the promise, or takes it back; the exit code.</summary>
    public static int Make(bool isPromised)
    {
        using GenericNetlinkSocket socket = GenericNetlinkSocket.Open();
        socket.Send(Message(Control, GetFamily, version: 1, FamilyName, "TCM-USER\0"u8));
        byte[] answer = new byte[4096];
        if (!socket.WaitReadable(5000) || socket.Receive(answer) is not (> HeaderBytes and int length) || FindFamily(answer.AsSpan(HeaderBytes, length - HeaderBytes)) is not { } family)
        {
            Console.Error.WriteLine("no family TCM-USER");
            return 1;
        }

        socket.Send(Message(family, SetFeatures, version: 2, SupportsReplies, [(byte)(isPromised ? 1 : 0)]));
        return 0;
    }

    static ushort? FindFamily(ReadOnlySpan<byte> attributes)
    {
        while (attributes.Length >= 4)
        {
            int length = BitConverter.ToUInt16(attributes);
            if (BitConverter.ToUInt16(attributes[2..]) == FamilyId)
            {
                return BitConverter.ToUInt16(attributes[4..]);
            }

            attributes = attributes[((Math.Max(length, 4) + 3) & ~3)..];
        }

        return null;
    }

    static byte[] Message(ushort type, byte command, byte version, ushort attribute, ReadOnlySpan<byte> value)
    {
        byte[] bytes = new byte[HeaderBytes + ((4 + value.Length + 3) & ~3)];
        BitConverter.TryWriteBytes(bytes, bytes.Length);
        BitConverter.TryWriteBytes(bytes.AsSpan(4), type);
        BitConverter.TryWriteBytes(bytes.AsSpan(6), (ushort)1); // NLM_F_REQUEST
        (bytes[16], bytes[17]) = (command, version);
        BitConverter.TryWriteBytes(bytes.AsSpan(20), (ushort)(4 + value.Length));
        BitConverter.TryWriteBytes(bytes.AsSpan(22), attribute);
        value.CopyTo(bytes.AsSpan(24));
        return bytes;
    }
}
