using Scuse.Handlers.File;
using Scuse.Scsi;
using Scuse.Serving;

namespace Scuse.Handlers.Tests;

public sealed class RehearsalTests
{
    [Fact]
    public async Task A_successor_rehearses_with_a_stand_in_before_it_says_hello()
    {
        FullDisk standIn = null!;
        using FakeTarget target = new() { Rehearsal = (device, level, log) => new(Handler.Serve(standIn = new FullDisk(device), device, level, log)) };
        target.Start(device => new ArrayDisk(device), "--replace");
        target.AcceptHello();

        Assert.True(standIn.Closed.Task.IsCompleted);
        Assert.Contains("write 0+512 None", standIn.Calls);
        Assert.Contains("write 0+512 ForceUnitAccess", standIn.Calls);
        Assert.Contains("flush", standIn.Calls);
        Assert.Contains("unmap 16384+1024", standIn.Calls);
        Assert.Contains("zero 8192+4096 keep", standIn.Calls);
        Assert.Equal("disk", target.Hello!.Device);
        target.Introduce();
        Assert.True(target.Read(0, 1).Data.All(b => b == 0));
        target.RemoveDevice();
        Assert.Equal(0, await target.ExitCode());
        Assert.Equal("", target.HandlerErrors.ToString());
    }

    [Fact]
    public async Task A_handler_that_replaces_nobody_rehearses_nothing()
    {
        using FakeTarget target = new() { Rehearsal = (_, _, _) => throw new InvalidOperationException("rehearsed") };

        target.Serve(device => new ArrayDisk(device));
        target.RemoveDevice();

        Assert.Equal(0, await target.ExitCode());
        Assert.Equal("", target.HandlerErrors.ToString());
    }

    [Theory]
    [InlineData("file")]
    [InlineData("block")]
    [InlineData("raw")]
    public async Task Every_stand_in_that_comes_with_the_SDK_and_its_handlers_plays_along(string kind)
    {
        using FakeTarget target = new()
        {
            Rehearsal = async (device, level, log) => kind switch
            {
                "file" => Handler.Serve(await FileProgram.RehearseAsync(device), device, level, log),
                "block" => Handler.Serve(new RehearsalDisk(device), device, level, log),
                _ => Handler.Serve(new RehearsalDevice(), device, log),
            },
        };
        target.Start(device => new ArrayDisk(device), "--replace");
        target.AcceptHello();
        target.Introduce();

        Assert.Equal(ScsiStatus.Good, target.Read(0, 1).Status);
        target.RemoveDevice();
        Assert.Equal(0, await target.ExitCode());
        Assert.Equal("", target.HandlerErrors.ToString());
    }

    [Fact]
    public async Task A_rehearsal_that_fails_is_told_and_stops_nothing()
    {
        using FakeTarget target = new() { Rehearsal = (_, _, _) => throw new IOException("no room on the stage") };

        target.Start(device => new ArrayDisk(device), "--replace");
        target.AcceptHello();
        target.Introduce();
        target.RemoveDevice();

        Assert.Equal(0, await target.ExitCode());
        Assert.StartsWith("the rehearsal failed, and the first commands will be slow: ", target.HandlerErrors.ToString(), StringComparison.Ordinal);
    }
}
