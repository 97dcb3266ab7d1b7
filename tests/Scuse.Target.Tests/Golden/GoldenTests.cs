using System.Globalization;
using Scuse.Device;
using Scuse.Scsi;

namespace Scuse.Target.Tests.Golden;

/// <summary>The golden table: what each command comes to, by the clause that says so, at both pass levels. <see cref="GoldenCase"/> tells how its lines are read.</summary>
public sealed class GoldenTests
{
    const int AtLeast = 300;

    static readonly string[] s_lines = ReadLines();
    static readonly string[] s_levels = ["io", "all"];

    public static TheoryData<string, string> Cases => new(
        from line in s_lines
        from level in s_levels
        select (line[..line.IndexOf('|', StringComparison.Ordinal)].Trim(), level));

    [Theory]
    [MemberData(nameof(Cases))]
    public void It_is_as_the_table_says(string name, string level)
    {
        GoldenCase golden = GoldenCase.Parse(s_lines.Single(line => line.StartsWith(name + " |", StringComparison.Ordinal)));
        ServingBackstore disk = Disk(golden.Unit, level == "all" ? PassLevel.All : PassLevel.Io);
        var target = new ScsiTarget("iqn.2026-11.example:golden", [new LogicalUnit(0, disk)]);
        var initiator = new Initiator(target);
        var other = new Initiator(target, "iqn.2026-11.example:b,i,0x000000000002");
        foreach (string word in golden.Unit)
        {
            Prepare(word, target, initiator, other);
        }

        byte[] before = [.. disk.Medium];
        int flushes = disk.Flushes, unmaps = disk.Unmaps, durable = disk.DurableWrites;
        initiator.Completed.Clear();
        ScsiTask task = initiator.Send(golden.Cdb, dataIn: Room(golden), dataOut: golden.DataOut.Length);
        if (initiator.Wanted.Contains(task))
        {
            task.DataOut.CopyFrom(golden.DataOut.AsSpan(0, task.DataOutLength));
            target.DataArrived(task);
        }

        Assert.Same(task, Assert.Single(initiator.Completed));
        Assert.Equal(golden.Result, Result(task));
        byte[] dataIn = new byte[Math.Min(task.DataInLength, task.ExpectedDataIn)];
        task.DataIn.Slice(0, dataIn.Length).CopyTo(dataIn);
        Assert.Null(GoldenCase.Difference(golden.DataIn, dataIn));
        AssertMedium(golden.Medium, disk, before, disk.Flushes > flushes, disk.Unmaps > unmaps, disk.DurableWrites > durable);
    }

    [Fact]
    public void Every_line_has_a_name_of_its_own_with_its_clause_and_there_are_enough_of_them()
    {
        string[] names = [.. s_lines.Select(static line => line[..line.IndexOf('|', StringComparison.Ordinal)].Trim())];

        Assert.Empty(names.GroupBy(static name => name).Where(static group => group.Count() > 1).Select(static group => group.Key));
        Assert.All(names, static name => Assert.Matches(@"^(SPC|SBC|SAM)-\d \d+(\.\d+)* \S.*: ", name));
        Assert.True(names.Length >= AtLeast, $"{names.Length} cases");
    }

    [Fact]
    public void A_case_that_does_not_hold_is_seen()
    {
        Assert.Null(GoldenCase.Difference("01 ?? 03*2 ...", [1, 9, 3, 3, 7]));
        Assert.NotNull(GoldenCase.Difference("01 ?? 03*2", [1, 9, 3, 3, 7]));
        Assert.NotNull(GoldenCase.Difference("01 02", [1, 3]));
        Assert.NotNull(GoldenCase.Difference("", [1]));
    }

    static string[] ReadLines()
    {
        string folder = Path.Combine(AppContext.BaseDirectory, "Golden");
        return [.. from file in Directory.GetFiles(folder, "*.txt").Order(StringComparer.Ordinal)
                   from line in File.ReadAllLines(file)
                   where line.Length > 0 && line[0] != '#'
                   select line];
    }

    // Room for all that the CDB asks for, unless the unit says how much: then more or less than that.
    static int Room(GoldenCase golden)
    {
        const string room = "room=";
        if (golden.Unit.FirstOrDefault(static word => word.StartsWith(room, StringComparison.Ordinal)) is { } word)
        {
            return int.Parse(word[room.Length..], CultureInfo.InvariantCulture);
        }

        CdbTransfer transfer = CdbTransfer.Describe(golden.Cdb, golden.Unit.Contains("4096") ? 4096 : 512);
        return transfer.Direction == TransferDirection.In ? (int)Math.Min(transfer.LengthBytes, 1 << 20) : 0;
    }

    static ServingBackstore Disk(string[] unit, PassLevel level)
    {
        BlockDeviceFeatures features = BlockDeviceFeatures.Flush | BlockDeviceFeatures.Unmap | BlockDeviceFeatures.WriteZeroes;
        bool isBig = unit.Contains("4096");
        return new ServingBackstore(level, new BlockDeviceInfo
        {
            SizeBytes = 65536,
            BlockSize = isBig ? 4096 : 512,
            Features = unit.Contains("plain") ? BlockDeviceFeatures.None : unit.Contains("readonly") ? features | BlockDeviceFeatures.ReadOnly : features,
            Serial = "GOLDEN-1",
            MaxTransferBytes = unit.Contains("short") ? 8192 : 32 << 20,
        });
    }

    /// <summary>What has happened before, by the words of the unit's column.</summary>
    static void Prepare(string word, ScsiTarget target, Initiator initiator, Initiator other)
    {
        switch (word)
        {
            case "4096" or "plain" or "readonly" or "short":
                break; // the disk is made so
            case var _ when word.StartsWith("room=", StringComparison.Ordinal):
                break;
            case "stopped":
                Done(initiator, target, "1B 00 00 00 00 00");
                break;
            case "resized":
                target.Establish(target.LogicalUnits.First(), AdditionalSense.CapacityDataChanged);
                break;
            case "descriptor": // D_SENSE, by MODE SELECT(6)
                Done(initiator, target, "15 10 00 00 10 00", "00 00 00 00 0A 0A 04 10 00 00 00 00 FF FF 00 00");
                break;
            case "protected": // SWP
                Done(initiator, target, "15 10 00 00 10 00", "00 00 00 00 0A 0A 00 10 08 00 00 00 FF FF 00 00");
                break;
            case "registered":
                Done(initiator, target, "5F 00 00 00 00 00 00 00 18 00", "00*8 00*7 01 00*8");
                break;
            case "reserved": // write exclusive, by the initiator itself
                Done(initiator, target, "5F 01 01 00 00 00 00 00 18 00", "00*7 01 00*16");
                break;
            case "other-registered":
                Done(other, target, "5F 00 00 00 00 00 00 00 18 00", "00*8 00*7 02 00*8");
                break;
            case "other-write-exclusive" or "other-exclusive-access" or "other-registrants-only" or "other-access-registrants-only":
                Done(other, target, "5F 00 00 00 00 00 00 00 18 00", "00*8 00*7 02 00*8");
                string type = word switch { "other-write-exclusive" => "01", "other-exclusive-access" => "03", "other-registrants-only" => "05", _ => "06" };
                Done(other, target, $"5F 01 {type} 00 00 00 00 00 18 00", "00*7 02 00*16");
                break;
            case "other-reserve6":
                Done(other, target, "16 00 00 00 00 00");
                break;
            default:
                throw new FormatException($"'{word}' says nothing about a unit");
        }
    }

    static void Done(Initiator initiator, ScsiTarget target, string cdb, string dataOut = "")
    {
        byte[] bytes = GoldenCase.Bytes(dataOut);
        ScsiTask task = initiator.Send(GoldenCase.Bytes(cdb), dataOut: bytes.Length);
        if (initiator.Wanted.Contains(task))
        {
            task.DataOut.CopyFrom(bytes.AsSpan(0, task.DataOutLength));
            target.DataArrived(task);
        }

        Assert.Equal("Good", Initiator.OutcomeOf(task));
    }

    static string Result(ScsiTask task)
    {
        if (task.Status != ScsiStatus.CheckCondition)
        {
            return task.Status switch { ScsiStatus.Good => "GOOD", ScsiStatus.ReservationConflict => "CONFLICT", _ => task.Status.ToString() };
        }

        SenseData sense = SenseData.Parse(task.Sense);
        string field = sense.FieldPointer is { } at ? $"{(sense.FieldIsInCdb ? '@' : '#')}{at}" : "";
        string information = sense.Information is { } value ? $" +{value}" : "";
        string format = (task.Sense[0] & 0x7E) == 0x72 ? " descriptor" : "";
        return $"{sense}{field}{information}{format}";
    }

    static void AssertMedium(string column, ServingBackstore disk, byte[] before, bool flushed, bool unmapped, bool durable)
    {
        string[] words = column.Split(';', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries);
        Assert.Equal((words.Contains("flushed"), words.Contains("unmapped"), words.Contains("durable")), (flushed, unmapped, durable));
        byte[] expected = [.. before];
        foreach (string word in words.Where(static word => word.Contains(':', StringComparison.Ordinal)))
        {
            string[] parts = word.Split(':');
            byte[] bytes = GoldenCase.Bytes(parts[1]);
            bytes.CopyTo(expected, int.Parse(parts[0], CultureInfo.InvariantCulture) * disk.Info.BlockSize);
        }

        for (int i = 0; i < expected.Length; i++)
        {
            Assert.True(expected[i] == disk.Medium[i], $"byte {i % disk.Info.BlockSize} of block {i / disk.Info.BlockSize} is {disk.Medium[i]:X2}, not {expected[i]:X2}");
        }
    }
}
