using System.Buffers.Binary;
using CsCheck;
using Scuse.Scsi;

namespace Scuse.Device.Tests;

/// <summary>Random commands against a device and against an array of bytes that does the same: they must never differ.</summary>
public sealed class DifferentialTests
{
    const int Blocks = 64;
    const int BlockSize = 512;

    // Ranges reach a little beyond the end, so that refusals are among them. CsCheck prints the seed of a failure.
    static readonly Gen<Step[]> Steps = Gen.Select(
        Gen.Enum<Kind>(), Gen.Int[0, Blocks + 1], Gen.Int[0, 20], Gen.Int[0, 2], Gen.Byte, Gen.Bool,
        (kind, lba, count, form, fill, flag) => new Step(kind, lba, count, form, fill, flag)).Array[1, 40];

    public enum Kind
    {
        Read,
        Write,
        WriteAndVerify,
        WriteSame,
        Unmap,
        VerifyTruth,
        VerifyRandom,
    }

    public sealed record Step(Kind Kind, int Lba, int Count, int Form, byte Fill, bool Flag);

    [Theory]
    [InlineData(Unit.AllFeatures, false)]
    [InlineData(BlockDeviceFeatures.Unmap, true)]
    [InlineData(BlockDeviceFeatures.WriteZeroes, false)]
    [InlineData(BlockDeviceFeatures.None, true)]
    public async Task Random_sequences_of_commands_leave_the_same_bytes_as_the_model(BlockDeviceFeatures features, bool isLate)
    {
        await Steps.SampleAsync(async steps => await Replay(steps, features, isLate, plantFault: false), iter: 1000, threads: 1);
    }

    [Fact]
    public async Task A_device_that_loses_a_write_is_caught()
    {
        await Assert.ThrowsAnyAsync<Exception>(() =>
            Steps.SampleAsync(async steps => await Replay(steps, Unit.AllFeatures, false, plantFault: true), iter: 1000, threads: 1));
    }

    static async Task Replay(Step[] steps, BlockDeviceFeatures features, bool isLate, bool plantFault)
    {
        var unit = new Unit(features, Blocks, BlockSize, maxTransferBytes: 16 * BlockSize) { Device = { IsLate = isLate } };
        byte[] model = unit.Fill();
        foreach (Step step in steps)
        {
            await Apply(unit, model, step);
            if (plantFault && step is { Kind: Kind.Write, Count: > 0 })
            {
                unit.Device.Bytes[step.Lba % Blocks * BlockSize] ^= 1;
            }

            Assert.True(model.AsSpan().SequenceEqual(unit.Device.Bytes), $"{step} left other bytes than the model's");
            Assert.Equal(0, unit.Device.RentedBuffers);
        }
    }

    static async Task Apply(Unit unit, byte[] model, Step step)
    {
        bool isInRange = step.Lba + step.Count <= Blocks;
        bool isShort = step.Count <= 16;
        bool canUnmap = unit.Device.Info.Has(BlockDeviceFeatures.Unmap);
        int at = isInRange ? step.Lba * BlockSize : 0;
        int length = isInRange ? step.Count * BlockSize : 0;
        byte[] data = Data(step, step.Count * BlockSize);
        string transfer = !isInRange ? "05/21/00" : !isShort ? "05/24/00" : "Good";
        switch (step.Kind)
        {
            case Kind.Read:
                Answer read = await unit.Do(BlockCdb(0x28, 0xA8, 0x88, 0, step), room: step.Count * BlockSize);
                Assert.Equal(transfer, read.Sense);
                Assert.True(!read.Result.IsGood || model.AsSpan(at, length).SequenceEqual(read.Data), $"{step} read other bytes than the model's");
                break;

            case Kind.Write:
            case Kind.WriteAndVerify:
                byte[] cdb = step.Kind == Kind.Write
                    ? BlockCdb(0x2A, 0xAA, 0x8A, step.Flag ? 0x08 : 0, step)
                    : BlockCdb(0x2E, 0xAE, 0x8E, step.Flag ? 0x02 : 0, step);
                Assert.Equal(transfer, (await unit.Do(cdb, data)).Sense);
                if (transfer == "Good")
                {
                    data.CopyTo(model, at);
                }

                break;

            case Kind.WriteSame:
                byte[] block = Data(step, BlockSize);
                string sense = step.Flag && !canUnmap ? "05/24/00" : !isInRange ? "05/21/00" : step.Count is 0 or > 16 ? "05/24/00" : "Good"; // WSNZ, MAXIMUM WRITE SAME LENGTH
                Assert.Equal(sense, (await unit.Do(BlockCdb(0x41, 0x41, 0x93, step.Flag ? 0x08 : 0, step), block)).Sense);
                for (int i = 0; sense == "Good" && i < step.Count; i++)
                {
                    block.CopyTo(model, at + (i * BlockSize));
                }

                break;

            case Kind.Unmap:
                byte[] list = new byte[UnmapParameterList.LengthFor(2)];
                UnmapParameterList.Write(list, [new((ulong)step.Lba, (uint)step.Count), new(0, step.Flag ? 1u : 0)]);
                byte[] unmap = new byte[10];
                Cdb.WriteUnmap10(unmap, (ushort)list.Length);
                string expected = !canUnmap ? "05/20/00" : isInRange ? "Good" : "05/21/00";
                Assert.Equal(expected, (await unit.Do(unmap, list)).Sense);
                if (expected == "Good")
                {
                    model.AsSpan(at, length).Clear();
                    model.AsSpan(0, step.Flag ? BlockSize : 0).Clear();
                }

                break;

            case Kind.VerifyTruth:
                byte[] truth = isInRange ? model.AsSpan(at, length).ToArray() : data;
                Assert.Equal(transfer, (await unit.Do(BlockCdb(0x2F, 0xAF, 0x8F, 0x02, step), truth)).Sense);
                break;

            case Kind.VerifyRandom:
                Answer verified = await unit.Do(BlockCdb(0x2F, 0xAF, 0x8F, 0x02, step), data);
                int same = model.AsSpan(at, length).CommonPrefixLength(data);
                bool differs = transfer == "Good" && same < length;
                Assert.Equal(differs ? "0E/1D/00" : transfer, verified.Sense);
                Assert.Equal(differs ? (ulong)same : null, verified.Result.Sense.Information);
                break;
        }
    }

    // One fill in four is zero, for the sake of WRITE SAME.
    static byte[] Data(Step step, int length)
    {
        byte[] data = new byte[length];
        if (step.Fill % 4 != 0)
        {
            data.AsSpan().Fill(step.Fill);
            for (int i = 0; i < length; i += 100)
            {
                data[i] = (byte)(i / 100);
            }
        }

        return data;
    }

    static byte[] BlockCdb(byte opcode10, byte opcode12, byte opcode16, int flags, Step step)
    {
        byte opcode = step.Form switch { 0 => opcode10, 1 => opcode12, _ => opcode16 };
        byte[] cdb = new byte[Cdb.Length(opcode)];
        cdb[0] = opcode;
        cdb[1] = (byte)flags;
        switch (cdb.Length)
        {
            case 10:
                BinaryPrimitives.WriteUInt32BigEndian(cdb.AsSpan(2), (uint)step.Lba);
                BinaryPrimitives.WriteUInt16BigEndian(cdb.AsSpan(7), (ushort)step.Count);
                break;
            case 12:
                BinaryPrimitives.WriteUInt32BigEndian(cdb.AsSpan(2), (uint)step.Lba);
                BinaryPrimitives.WriteUInt32BigEndian(cdb.AsSpan(6), (uint)step.Count);
                break;
            default:
                BinaryPrimitives.WriteUInt64BigEndian(cdb.AsSpan(2), (ulong)step.Lba);
                BinaryPrimitives.WriteUInt32BigEndian(cdb.AsSpan(10), (uint)step.Count);
                break;
        }

        return cdb;
    }
}
