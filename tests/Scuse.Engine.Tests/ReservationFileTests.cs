using Microsoft.Extensions.Logging.Abstractions;
using Scuse.Engine.Reservations;
using Scuse.Engine.States;
using Scuse.Target;

namespace Scuse.Engine.Tests;

public sealed class ReservationFileTests : IDisposable
{
    static readonly ReservationState State = new()
    {
        Generation = 7,
        PersistsThroughPowerLoss = true,
        Registrations = [new("iqn.2026-11.example:a,i,0x000000000001", 0xFFFF_FFFF_FFFF_FFFF), new("iqn.2026-11.example:b,i,0x000000000002", 2)],
        Type = PersistentReservationType.WriteExclusiveRegistrantsOnly,
        Holder = "iqn.2026-11.example:b,i,0x000000000002",
    };

    readonly string _folder = Path.Combine(Path.GetTempPath(), $"scuse-reservations-{Guid.NewGuid():N}");

    ReservationFiles Files => new(new StateFolder(_folder, "iqn.2026-11.example:t", static action => action(), NullLogger.Instance));

    public void Dispose()
    {
        if (Directory.Exists(_folder))
        {
            Directory.Delete(_folder, recursive: true);
        }
    }

    [Fact]
    public async Task What_is_kept_comes_back_and_only_for_its_own_logical_unit()
    {
        Assert.True(await Files.SaveAsync(3, State));

        Assert.Equal(State, Files.Load(3));
        Assert.Null(Files.Load(4));
    }

    [Fact]
    public async Task What_no_longer_persists_is_forgotten()
    {
        await Files.SaveAsync(3, State);

        Assert.True(await Files.SaveAsync(3, State with { PersistsThroughPowerLoss = false }));

        Assert.Null(Files.Load(3));
        Assert.Empty(Directory.GetFiles(_folder));
    }

    [Fact]
    public async Task A_draft_left_behind_by_a_crash_harms_nothing()
    {
        await Files.SaveAsync(3, State);
        string file = Assert.Single(Directory.GetFiles(_folder));
        await File.WriteAllTextAsync(file + ".new", "{ \"version\": 1, \"gener", TestContext.Current.CancellationToken);

        Assert.Equal(State, Files.Load(3));
        Assert.True(await Files.SaveAsync(3, State with { Generation = 8 }));
        Assert.Equal(8u, Files.Load(3)!.Generation);
    }

    [Theory]
    [InlineData("")]
    [InlineData("null")]
    [InlineData("{}")]
    [InlineData("{\"version\":2,\"generation\":1,\"registrations\":[]}")]
    [InlineData("{\"version\":1,\"generation\":1,\"registrations\":[{\"initiatorPort\":\"a\",\"key\":0}]}")]
    [InlineData("{\"version\":1,\"generation\":1,\"registrations\":[{\"initiatorPort\":\"a\",\"key\":1},{\"initiatorPort\":\"a\",\"key\":2}]}")]
    [InlineData("{\"version\":1,\"generation\":1,\"registrations\":[{\"initiatorPort\":\"a\",\"key\":1}],\"type\":1,\"holder\":\"b\"}")]
    [InlineData("{\"version\":1,\"generation\":1,\"registrations\":[{\"initiatorPort\":\"a\",\"key\":1}],\"type\":2,\"holder\":\"a\"}")]
    public async Task A_file_that_makes_no_sense_stops_the_engine_from_starting_as_if_nothing_were_reserved(string text)
    {
        await Files.SaveAsync(3, State);
        await File.WriteAllTextAsync(Directory.GetFiles(_folder)[0], text, TestContext.Current.CancellationToken);

        Assert.Contains("LUN 3", Assert.Throws<EngineException>(() => Files.Load(3)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_folder_that_cannot_be_written_is_told_to_the_initiator()
    {
        await File.WriteAllTextAsync(_folder, "a file where the folder should be", TestContext.Current.CancellationToken);
        try
        {
            Assert.False(await Files.SaveAsync(3, State));
        }
        finally
        {
            File.Delete(_folder);
        }
    }
}
