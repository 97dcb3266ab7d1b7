using Scuse.Ring;
using Scuse.Ring.Attach;

namespace Scuse.Engine.Tests;

/// <summary>A handler that somebody started takes a device over from another that somebody started.</summary>
public sealed class TakingOverTests
{
    const string Replace = ",\"replace\":true";

    [Fact]
    public async Task The_new_handler_gets_the_device_when_the_old_one_has_answered_and_closed_and_nothing_fails_or_is_repeated()
    {
        await using SupervisionRig rig = new();
        using FakeHandler old = await rig.AttachAsync();
        rig.Read(1);
        rig.Read(2);
        List<HandlerCommand> first = await old.TakeAsync(2);

        using FakeHandler next = rig.Connect();
        next.Hello("lun0", Replace);
        await SupervisionRig.UntilAsync(() => rig.State().Successor is not null, "a successor");
        next.ExpectNothing();
        old.ExpectNothing(); // it is told to go when it has nothing left
        rig.Read(3);
        Assert.Empty(old.TakeAll()); // new commands wait
        old.Answer(first);
        old.Expect<RemoveMessage>();
        next.ExpectNothing();
        old.Dispose();
        next.ExpectDevice();
        next.Ready();
        next.ExpectRegion();

        HandlerCommand third = Assert.Single(await next.TakeAsync(1));
        Assert.Equal(3, third.CdbMemory.Span[5]);
        next.Answer(third);
        await rig.WaitForOutcomesAsync(3);
        Assert.Equal(["Good", "Good", "Good"], rig.Outcomes);
        Assert.True(rig.Logger.Has("has taken over from process"));
        Assert.Equal(1, rig.State().Replacements);
    }

    [Theory]
    [InlineData(HandlerLossPolicy.Busy)]
    [InlineData(HandlerLossPolicy.Fail)]
    public async Task Commands_wait_for_the_new_handler_whatever_the_policy_says_of_a_lost_one(HandlerLossPolicy policy)
    {
        await using SupervisionRig rig = new(onLoss: policy);
        using FakeHandler old = await rig.AttachAsync();
        using FakeHandler next = rig.Connect();
        next.Hello("lun0", Replace);
        old.Expect<RemoveMessage>();
        rig.Read(1);
        old.Dispose();
        next.ExpectDevice();
        rig.Read(2);
        next.Ready();
        next.ExpectRegion();

        next.Answer(await next.TakeAsync(2));

        await rig.WaitForOutcomesAsync(2);
        Assert.Equal(["Good", "Good"], rig.Outcomes);
    }

    [Fact]
    public async Task An_old_handler_that_does_not_finish_in_time_goes_on_and_the_new_one_is_refused()
    {
        await using SupervisionRig rig = new(limits: SupervisionRig.Patient with { DrainMs = 200 });
        using FakeHandler old = await rig.AttachAsync();
        rig.Read(1);
        List<HandlerCommand> hung = await old.TakeAsync(1);
        using FakeHandler next = rig.Connect();
        next.Hello("lun0", Replace);
        await SupervisionRig.UntilAsync(() => rig.State().Successor is not null, "a successor");
        rig.Read(2);

        next.ExpectRefusal("did not finish its commands within 0.2 s");

        List<HandlerCommand> waited = await old.TakeAsync(1);
        old.ExpectNothing();
        old.Answer([.. hung, .. waited]);
        await rig.WaitForOutcomesAsync(2);
        Assert.Equal(["Good", "Good"], rig.Outcomes);
    }

    [Fact]
    public async Task An_old_handler_that_does_not_close_loses_its_connection_and_the_new_one_gets_the_device()
    {
        await using SupervisionRig rig = new(limits: SupervisionRig.Patient with { RemoveMs = 100, KillMs = 100 });
        using FakeHandler old = await rig.AttachAsync();
        using FakeHandler next = rig.Connect();
        next.Hello("lun0", Replace);
        old.Expect<RemoveMessage>();

        next.ExpectDevice();

        old.ExpectEnd();
        Assert.True(rig.Logger.Has("did not let its device go within 0.1 s and is killed"));
    }

    [Fact]
    public async Task When_the_new_handler_ends_while_it_waits_the_old_one_goes_on()
    {
        await using SupervisionRig rig = new();
        using FakeHandler old = await rig.AttachAsync();
        rig.Read(1);
        List<HandlerCommand> first = await old.TakeAsync(1);
        using (FakeHandler next = rig.Connect())
        {
            next.Hello("lun0", Replace);
            await SupervisionRig.UntilAsync(() => rig.State().Successor is not null, "a successor");
        }

        await SupervisionRig.UntilAsync(() => rig.State().Successor is null, "the successor's end");
        old.Answer(first);
        rig.Read(2);

        old.Answer(await old.TakeAsync(1));
        await rig.WaitForOutcomesAsync(2);
        old.ExpectNothing();
        Assert.Equal(["Good", "Good"], rig.Outcomes);
    }

    [Fact]
    public async Task When_the_old_handler_dies_first_the_new_one_gets_its_commands()
    {
        await using SupervisionRig rig = new();
        using FakeHandler old = await rig.AttachAsync();
        rig.Read(1);
        await old.TakeAsync(1);
        using FakeHandler next = rig.Connect();
        next.Hello("lun0", Replace);
        await SupervisionRig.UntilAsync(() => rig.State().Successor is not null, "a successor");

        old.Dispose();

        next.ExpectDevice();
        next.Ready();
        next.ExpectRegion();
        next.Answer(await next.TakeAsync(1));
        await rig.WaitForOutcomesAsync(1);
    }

    [Fact]
    public async Task When_the_new_handler_cannot_open_the_device_commands_wait_for_another()
    {
        await using SupervisionRig rig = new();
        using FakeHandler old = await rig.AttachAsync();
        using (FakeHandler next = rig.Connect())
        {
            next.Hello("lun0", Replace);
            old.Expect<RemoveMessage>();
            old.Dispose();
            next.ExpectDevice();
            rig.Read(1);
            next.Send("""{"type":"failed","message":"it is locked"}""");
        }

        await SupervisionRig.UntilAsync(() => rig.Logger.Has("does not serve: it is locked") && rig.State().Handler is null, "the failure");
        using FakeHandler third = await rig.AttachAsync();
        third.Answer(await third.TakeAsync(1));
        await rig.WaitForOutcomesAsync(1);
        Assert.Equal(["Good"], rig.Outcomes);
    }

    [Fact]
    public async Task A_device_that_forgets_is_not_taken_over()
    {
        await using SupervisionRig rig = new();
        using FakeHandler old = await rig.AttachAsync(ready: ",\"features\":[\"volatile\"]");
        using FakeHandler next = rig.Connect();
        next.Hello("lun0", Replace);

        next.ExpectRefusal("would be gone with its handler");
        old.ExpectNothing();
    }

    [Theory]
    [InlineData("")]
    [InlineData(Replace)]
    public async Task While_one_waits_to_take_over_nobody_else_is_let_in(string how)
    {
        await using SupervisionRig rig = new();
        using FakeHandler old = await rig.AttachAsync();
        rig.Read(1);
        await old.TakeAsync(1);
        using FakeHandler next = rig.Connect();
        next.Hello("lun0", Replace);
        await SupervisionRig.UntilAsync(() => rig.State().Successor is not null, "a successor");

        using FakeHandler third = rig.Connect();
        third.Hello("lun0", how);

        third.ExpectRefusal("is being taken over");
        next.ExpectNothing();
    }

    [Fact]
    public async Task One_that_wants_to_take_over_from_nobody_is_just_the_handler()
    {
        await using SupervisionRig rig = new();

        using FakeHandler handler = await rig.AttachAsync(hello: Replace);

        Assert.Equal(0, rig.State().Replacements);
    }

    [Fact]
    public async Task One_that_waits_may_say_nothing()
    {
        await using SupervisionRig rig = new();
        using FakeHandler old = await rig.AttachAsync();
        rig.Read(1);
        await old.TakeAsync(1);
        using FakeHandler next = rig.Connect();
        next.Hello("lun0", Replace);
        next.Ready();

        next.ExpectRefusal("out of its order");
    }

    [Fact]
    public async Task An_old_handler_that_is_still_opening_goes_without_a_region()
    {
        await using SupervisionRig rig = new();
        using FakeHandler old = rig.Connect();
        old.Hello("lun0");
        old.ExpectDevice();
        using FakeHandler next = rig.Connect();
        next.Hello("lun0", Replace);
        old.Expect<RemoveMessage>();
        old.Ready(); // it was under way
        old.ExpectNothing();
        old.Dispose();

        next.ExpectDevice();
        next.Ready();
        next.ExpectRegion();
    }
}
