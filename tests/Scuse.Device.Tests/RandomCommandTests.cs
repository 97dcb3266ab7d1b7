using Scuse.Scsi;

namespace Scuse.Device.Tests;

/// <summary>Whatever an initiator sends, a command ends with a valid answer.</summary>
public sealed class RandomCommandTests
{
    const int Commands = 200_000;

    [Theory]
    [InlineData(1, Unit.AllFeatures)]
    [InlineData(2, BlockDeviceFeatures.None)]
    [InlineData(3, BlockDeviceFeatures.ReadOnly)]
    public async Task Random_CDBs_and_data_always_end_with_a_valid_answer(int seed, BlockDeviceFeatures features)
    {
        var random = new Random(seed);
        var unit = new Unit(features) { Device = { Calls = null } };
        byte[] dataIn = new byte[8192];
        byte[] dataOut = new byte[8192];
        var good = new HashSet<byte>();
        for (int i = 0; i < Commands; i++)
        {
            byte[] cdb = RandomCdb(random);
            unit.Server.IsStopped &= random.Next(4) != 0; // a random START STOP UNIT stops far more often than it starts
            random.NextBytes(dataOut.AsSpan(0, 64));
            var command = new DeviceCommand(
                cdb, new DataBuffer(dataOut.AsMemory(0, random.Next(8193))), new DataBuffer(dataIn.AsMemory(0, random.Next(8193))), CancellationToken.None);

            ScsiResult result = await Execute(unit.Server, command, $"seed {seed}, command {i}, CDB {Convert.ToHexString(cdb)}");

            AssertValid(result, cdb, $"seed {seed}, command {i}, CDB {Convert.ToHexString(cdb)}: {result}");
            if (result.IsGood)
            {
                good.Add(cdb[0]);
            }
        }

        // The test is worth its time only when it gets past the refusals.
        Assert.Equal(OpcodesThatCanEndGood(unit.Server), good.Order());
        Assert.Equal(0, unit.Device.RentedBuffers);
    }

    static IEnumerable<byte> OpcodesThatCanEndGood(DeviceServer server) =>
        (from entry in CommandTable.Entries
         let info = server.Device.Info
         where entry.ExistsIn(server, info) && !(info.Has(BlockDeviceFeatures.ReadOnly) && entry.Needs.HasFlag(CommandNeeds.Writable))
         select entry.Command.Opcode).Distinct();

    static async Task<ScsiResult> Execute(DeviceServer server, DeviceCommand command, string story)
    {
        try
        {
            return await server.ExecuteAsync(command);
        }
        catch (Exception e)
        {
            throw new InvalidOperationException(story, e);
        }
    }

    static void AssertValid(in ScsiResult result, byte[] cdb, string story)
    {
        Assert.True(result.Status is ScsiStatus.Good or ScsiStatus.CheckCondition, story);
        Assert.True(result.DataInLength >= 0, story);
        if (result.IsGood)
        {
            // Never more than the CDB asks for.
            CdbTransfer transfer = CdbTransfer.Describe(cdb, 512);
            Assert.True(result.DataInLength <= (transfer.Direction == TransferDirection.In ? transfer.LengthBytes : 0), story);
            return;
        }

        Assert.True(result.Sense.Key is SenseKey.IllegalRequest or SenseKey.NotReady or SenseKey.DataProtect or SenseKey.Miscompare, story);
        Assert.NotEqual(AdditionalSense.None, result.Sense.Code);
        Assert.Equal(0, result.DataInLength);
        Assert.True(result.Sense.FieldPointer is not { } position || !result.Sense.FieldIsInCdb || position < Math.Max(1, cdb.Length), story);
    }

    // Most are known commands with small numbers, because wholly random bytes rarely get past the first check.
    static byte[] RandomCdb(Random random)
    {
        byte[] cdb = new byte[random.Next(20) == 0 ? random.Next(17) : 16];
        random.NextBytes(cdb);
        if (cdb.Length < 16 || random.Next(8) == 0)
        {
            return cdb;
        }

        SupportedCommand known = CommandTable.Entries[random.Next(CommandTable.Entries.Length)].Command;
        cdb.AsSpan().Clear();
        cdb[0] = known.Opcode;
        cdb[1] = random.Next(3) == 0 ? (byte)random.Next(256) : known.ServiceAction ?? 0;
        for (int changes = random.Next(6); changes > 0; changes--)
        {
            int at = random.Next(1, known.Usage.Length);
            cdb[at] = (byte)(random.Next(known.Usage[at] + 1) & (random.Next(2) == 0 ? 0xFF : 0x0F));
        }

        if (known.ServiceAction is { } action && random.Next(8) != 0)
        {
            cdb[1] = action;
        }

        return cdb;
    }
}
