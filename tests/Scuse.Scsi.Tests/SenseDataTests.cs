using Scuse.Scsi;

namespace Scuse.Scsi.Tests;

public sealed class SenseDataTests
{
    static readonly SenseData Miscompare = new(SenseKey.Miscompare, AdditionalSense.MiscompareDuringVerify) { Information = 0x1234 };

    [Fact]
    public void Fixed_format_has_these_bytes_SPC_4_4_5_3()
    {
        Assert.Equal(Bytes.Of("70 00 05 00000000 0A 00000000 2400 00 C0 0003"), Fixed(SenseData.InvalidFieldInCdb(3)));
        Assert.Equal(Bytes.Of("F0 00 0E 00001234 0A 00000000 1D00 00 00 0000"), Fixed(Miscompare));
    }

    [Fact]
    public void Descriptor_format_has_these_bytes_SPC_4_4_5_2()
    {
        Assert.Equal(Bytes.Of("72 05 2600 000000 08  02 06 0000 80 0008 00"), Descriptor(SenseData.InvalidFieldInParameterList(8)));
        Assert.Equal(Bytes.Of("72 0E 1D00 000000 0C  00 0A 80 00 0000000000001234"), Descriptor(Miscompare));
    }

    [Fact]
    public void A_progress_indication_is_sense_key_specific_SPC_4_4_5_2_4_4()
    {
        var sanitizing = new SenseData(SenseKey.NotReady, 0x041B) { Progress = 0x8001 };

        Assert.Equal(Bytes.Of("70 00 02 00000000 0A 00000000 041B 00 80 8001"), Fixed(sanitizing));
        Assert.Equal(Bytes.Of("72 02 041B 000000 08  02 06 0000 80 8001 00"), Descriptor(sanitizing));
    }

    [Fact]
    public void Command_specific_information_has_its_own_field_SPC_4_4_5_2_3()
    {
        var copy = new SenseData(SenseKey.CopyAborted, 0x0D00) { Information = 1, CommandSpecific = 0x0203 };

        Assert.Equal(Bytes.Of("F0 00 0A 00000001 0A 00000203 0D00 00 00 0000"), Fixed(copy));
        Assert.Equal(Bytes.Of("72 0A 0D00 000000 18  00 0A 80 00 0000000000000001  01 0A 00 00 0000000000000203"), Descriptor(copy));
    }

    [Fact]
    public void What_the_sense_key_does_not_carry_is_not_written_SPC_4_table_35()
    {
        var medium = new SenseData(SenseKey.MediumError, AdditionalSense.WriteError) { Progress = 1, FieldPointer = 2 };

        Assert.Equal(Bytes.Of("70 00 03 00000000 0A 00000000 0C00 00 00 0000"), Fixed(medium));
        Assert.Equal(Bytes.Of("72 03 0C00 000000 00"), Descriptor(medium));
    }

    [Fact]
    public void Deferred_errors_have_response_codes_71h_and_73h()
    {
        SenseData deferred = new SenseData(SenseKey.MediumError, AdditionalSense.WriteError) { IsDeferred = true };

        Assert.Equal(0x71, Fixed(deferred)[0]);
        Assert.Equal(0x73, Descriptor(deferred)[0]);
    }

    public static TheoryData<SenseData> Kinds =>
    [
        SenseData.NoSense,
        SenseData.LbaOutOfRange,
        SenseData.InvalidFieldInCdb(12),
        SenseData.InvalidFieldInParameterList(0x1FF),
        Miscompare,
        new SenseData(SenseKey.MediumError, AdditionalSense.WriteError) { IsDeferred = true },
        SenseData.InvalidFieldInCdb(2) with { Information = 77 },
        SenseData.InvalidFieldInCdb(2) with { Information = 77, CommandSpecific = 78 },
        new SenseData(SenseKey.NotReady, 0x0404) { Progress = 0 },
        SenseData.NoSense with { Progress = 0xFFFF },
    ];

    [Theory]
    [MemberData(nameof(Kinds))]
    public void What_was_written_in_either_format_is_read_back(SenseData sense)
    {
        Assert.Equal(sense, SenseData.Parse(Fixed(sense)));
        Assert.Equal(sense, SenseData.Parse(Descriptor(sense)));
    }

    [Fact]
    public void Descriptor_format_keeps_64_bits_of_INFORMATION_and_fixed_format_drops_them()
    {
        SenseData far = Miscompare with { Information = 1UL << 40 };

        Assert.Equal(far, SenseData.Parse(Descriptor(far)));
        Assert.Null(SenseData.Parse(Fixed(far)).Information);
    }

    [Fact]
    public void Sense_data_cut_anywhere_is_read_as_far_as_it_goes()
    {
        byte[] whole = Fixed(SenseData.InvalidFieldInCdb(3));

        Assert.Equal(SenseData.NoSense, SenseData.Parse([]));
        Assert.Equal(SenseKey.IllegalRequest, SenseData.Parse(whole.AsSpan(0, 3)).Key);
        Assert.Equal(new SenseData(SenseKey.IllegalRequest, AdditionalSense.InvalidFieldInCdb), SenseData.Parse(whole.AsSpan(0, 14)));
    }

    [Fact]
    public void Bytes_that_are_not_sense_data_are_no_sense() => Assert.Equal(SenseData.NoSense, SenseData.Parse(Bytes.Of("00 00 05 00 00 00 00 0A")));

    [Fact]
    public void Random_bytes_are_always_read()
    {
        const int seed = 1;
        var random = new Random(seed);
        byte[] bytes = new byte[96];
        for (int i = 0; i < 200_000; i++)
        {
            random.NextBytes(bytes);
            bytes[0] = (byte)(0x70 + random.Next(4));
            _ = SenseData.Parse(bytes.AsSpan(0, random.Next(bytes.Length + 1)));
        }
    }

    static byte[] Fixed(SenseData sense)
    {
        byte[] bytes = new byte[252];
        bytes.AsSpan().Fill(0xA5);
        return bytes[..sense.WriteFixed(bytes)];
    }

    static byte[] Descriptor(SenseData sense)
    {
        byte[] bytes = new byte[252];
        bytes.AsSpan().Fill(0xA5);
        return bytes[..sense.WriteDescriptor(bytes)];
    }
}
