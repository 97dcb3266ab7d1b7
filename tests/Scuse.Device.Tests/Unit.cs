using Scuse.Scsi;

namespace Scuse.Device.Tests;

/// <summary>A device server on a device in memory: 128 blocks of 512 bytes, with every feature, unless a test says otherwise.</summary>
sealed class Unit
{
    public const BlockDeviceFeatures AllFeatures = BlockDeviceFeatures.Flush | BlockDeviceFeatures.Unmap | BlockDeviceFeatures.WriteZeroes | BlockDeviceFeatures.Extents;

    public Unit(BlockDeviceFeatures features = AllFeatures, int blocks = 128, int blockSize = 512, int maxTransferBytes = 32 << 20, string serial = "SN-0001")
        : this(new BlockDeviceInfo
        {
            SizeBytes = (long)blocks * blockSize,
            BlockSize = blockSize,
            Features = features,
            Serial = serial,
            MaxTransferBytes = maxTransferBytes,
        })
    {
    }

    public Unit(BlockDeviceInfo info, bool tellsResources = false)
    {
        Device = new MemoryDevice(info);
        Server = new DeviceServer(Device) { TellsResources = tellsResources };
    }

    /// <summary>A thin disk that tells of the room behind it: 2 MiB and a byte are used, somewhat more than 7 MiB available, to others as well.</summary>
    public static Unit WithResources(int blockSize = 512) => new(
        new BlockDeviceInfo { SizeBytes = 128L * blockSize, BlockSize = blockSize, Features = AllFeatures | BlockDeviceFeatures.Resources, Serial = "SN-0001" }, tellsResources: true)
    {
        Device = { Resources = new BlockResources((2 << 20) + 1, (7 << 20) + 4096, IsShared: true) },
    };

    public MemoryDevice Device { get; }

    public DeviceServer Server { get; }

    public IEnumerable<Call> Calls => Device.Calls!.Select(call => call.Call);

    /// <summary>Fills the device so that every byte differs from its neighbours, and returns what it holds.</summary>
    public byte[] Fill()
    {
        for (int i = 0; i < Device.Bytes.Length; i++)
        {
            Device.Bytes[i] = Pattern(i);
        }

        return Device.Bytes.ToArray();
    }

    public static byte Pattern(int position) => (byte)((position * 7) + (position >> 8) + 1);

    /// <summary>Does one command with room for <paramref name="room"/> bytes of Data-In, in two pieces.</summary>
    public async Task<Answer> Do(string cdb, byte[]? dataOut = null, int room = 4096) => await Do(Hex(cdb), dataOut, room);

    public async Task<Answer> Do(byte[] cdb, byte[]? dataOut = null, int room = 4096)
    {
        byte[] dataIn = new byte[room];
        int cut = Math.Min(5, room);
        var into = new DataBuffer([dataIn.AsMemory(0, cut), dataIn.AsMemory(cut)], 2, room);
        ScsiResult result = await Server.ExecuteAsync(new DeviceCommand(cdb, Out(dataOut ?? []), into, CancellationToken.None));
        return new Answer(result, dataIn);
    }

    public static byte[] Hex(string text) => Convert.FromHexString(text.Replace(" ", "", StringComparison.Ordinal));

    static DataBuffer Out(byte[] data)
    {
        int cut = Math.Min(3, data.Length);
        return new DataBuffer([data.AsMemory(0, cut), data.AsMemory(cut)], 2, data.Length);
    }
}

/// <summary>What came back for a command.</summary>
sealed record Answer(ScsiResult Result, byte[] Room)
{
    /// <summary>The Data-In, as far as there was room for it.</summary>
    public byte[] Data => Room[..Math.Min(Room.Length, Result.DataInLength)];

    public string Sense => Result.Status == ScsiStatus.CheckCondition ? Result.Sense.ToString() : Result.Status.ToString();

    /// <summary>Sense and the byte it points at, such as <c>05/24/00@1</c>.</summary>
    public string SenseAt => Result.Sense.FieldPointer is { } position ? $"{Sense}@{position}" : Sense;

    public Answer AssertGood()
    {
        Assert.Equal("Good", Sense);
        return this;
    }
}
