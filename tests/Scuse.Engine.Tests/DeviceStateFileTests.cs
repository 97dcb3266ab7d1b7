using Microsoft.Extensions.Logging.Abstractions;
using Scuse.Device;
using Scuse.Engine.States;

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

        disk.Attach(level: Scuse.Target.PassLevel.All);

        Assert.Equal(ControlSettings.Default, disk.Backstore.DeviceServer.Control);
    }
}
