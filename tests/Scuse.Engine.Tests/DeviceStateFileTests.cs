using System.Collections.Concurrent;
using Microsoft.Extensions.Logging.Abstractions;
using Scuse.Device;
using Scuse.Engine.States;
using Scuse.Target;

namespace Scuse.Engine.Tests;

public sealed class DeviceStateFileTests : IDisposable
{
    static readonly DeviceState State = new()
    {
        Mode = new ModeParameters
        {
            WriteCache = false,
            Control = new ControlSettings { DescriptorSense = true, QueueError = QueueErrorManagement.AbortOwn, SoftwareWriteProtect = true },
        },
        MediumWork = MediumWorkKind.UnrestrictedSanitize,
        PeripheralDeviceInformation = "00FF",
        TextInformation = "41",
    };

    readonly string _folder = Path.Combine(Path.GetTempPath(), $"scuse-device-states-{Guid.NewGuid():N}");

    StateFolder Folder => new(_folder, "iqn.2026-11.example:t", static action => action(), NullLogger.Instance);

    DeviceStateFile FileOf(int lun) => new(Folder, lun);

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
        Assert.True(await FileOf(3).SaveAsync(State));

        Assert.Equal(State, FileOf(3).Load());
        Assert.Equal(DeviceState.Empty, FileOf(4).Load());
    }

    [Theory]
    [InlineData("")]
    [InlineData("null")]
    [InlineData("{}")]
    [InlineData("{\"version\":2}")]
    [InlineData("{\"version\":1,\"mode\":{\"writeCache\":true,\"descriptorSense\":false,\"taskSetPerNexus\":false,\"queueError\":2,\"reportsTaskAborted\":false,\"softwareWriteProtect\":false}}")]
    [InlineData("{\"version\":1,\"mode\":{}}")]
    [InlineData("{\"version\":1,\"mediumWork\":3}")]
    [InlineData("{\"version\":1,\"textInformation\":\"4\"}")]
    [InlineData("{\"version\":1,\"peripheralDeviceInformation\":\"4G\"}")]
    public async Task A_file_that_makes_no_sense_stops_the_engine_from_starting_as_if_nothing_were_kept(string text)
    {
        await FileOf(3).SaveAsync(State);
        await File.WriteAllTextAsync(Directory.GetFiles(_folder)[0], text, TestContext.Current.CancellationToken);

        Assert.Contains("LUN 3", Assert.Throws<EngineException>(() => FileOf(3).Load()).Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_disk_starts_with_what_was_saved_and_saves_where_it_came_from()
    {
        await FileOf(0).SaveAsync(State);
        using Disk disk = new();
        disk.Backstore.KeepDeviceState(FileOf(0), FileOf(0).Load());

        disk.Attach();

        Assert.True(disk.Backstore.DeviceServer.Control.SoftwareWriteProtect);
        Assert.True(disk.Backstore.DeviceServer.WritesThrough);
    }

    [Fact]
    public async Task A_handler_that_answers_everything_itself_has_nothing_of_it()
    {
        await FileOf(0).SaveAsync(State);
        using Disk disk = new();
        disk.Backstore.KeepDeviceState(FileOf(0), FileOf(0).Load());

        disk.Attach(level: PassLevel.All);

        Assert.Equal(ControlSettings.Default, disk.Backstore.DeviceServer.Control);
    }

    [Fact]
    public void A_MODE_SELECT_with_SP_is_answered_when_the_next_engine_would_start_with_it_SPC_4_6_11()
    {
        using BlockingCollection<Action> posted = [];
        var file = new DeviceStateFile(new StateFolder(_folder, "iqn.2026-11.example:t", posted.Add, NullLogger.Instance), 0);
        using Disk disk = new();
        disk.Backstore.KeepDeviceState(file, file.Load());
        disk.Attach();
        disk.Initiator.Completed.Clear();
        byte[] list = [0, 0, 0, 0, 0x0A, 0x0A, 0x04, 0x10, 0, 0, 0, 0, 0xFF, 0xFF, 0, 0];

        ScsiTask task = disk.Initiator.Send([0x15, 0x11, 0, 0, (byte)list.Length, 0], dataOut: list.Length);
        task.DataOut.CopyFrom(list);
        disk.Target.DataArrived(task);
        Assert.Empty(disk.Initiator.Completed);
        Assert.True(posted.TryTake(out Action? written, TimeSpan.FromSeconds(20)));
        using Disk next = new();
        next.Backstore.KeepDeviceState(file, file.Load()); // killed before the answer: what was written is whole
        next.Attach();
        written();

        Assert.Equal("Good", disk.Initiator.Outcome);
        Assert.True(next.Backstore.DeviceServer.Control.DescriptorSense);
    }
}
