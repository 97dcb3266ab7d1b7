using Scuse.Fuzz.Running;
using Scuse.Ring;
using Scuse.Ring.Diagnostics;

namespace Scuse.Fuzz.Targets;

/// <summary>A saved region, or anything that is said to be one, decoded for a person: never an exception, and never more work than the bytes there are.</summary>
/// <remarks>The first record: what the length is said to be, u16 where the target is said to have reaped. Then the region's start.</remarks>
sealed unsafe class RingDumps : FuzzTarget
{
    const int GuardedBytes = 2 * Memory.PageBytes;
    const int RacedBytes = 512;

    readonly nint _guarded = Memory.MapGuarded(GuardedBytes);
    long _sound, _problems, _entries;

    public override string Name => "ring-dump";

    public override int MaxInputBytes => 1024;

    public override bool HasRace => true;

    // The end of the memory, where every region lies.
    public override (nint Start, int Length) Raced => (_guarded + GuardedBytes - RacedBytes, RacedBytes);

    public override void Reset()
    {
        // A dump leaves nothing behind.
    }

    public override void Count()
    {
        Tally["sound"] = _sound;
        Tally["problems told"] = _problems;
        Tally["entries decoded"] = _entries;
    }

    public override ulong Execute(ReadOnlySpan<byte> input)
    {
        var script = new ScriptReader(input);
        script.Next();
        ReadOnlySpan<byte> region = input.Length > RingView.RecordBytes ? input[RingView.RecordBytes..] : default;
        uint? reaped = script.A == 0 ? null : (uint)(script.B | script.C << 8);
        RingDump dump;
        if ((script.What & 1) == 0)
        {
            dump = RingDump.Read(region, script.What switch { < 64 => null, < 128 => script.What * 4096L, < 192 => 0, _ => long.MaxValue }, reaped);
        }
        else
        {
            // The map ends where nobody can touch memory.
            nint start = _guarded + GuardedBytes - ((region.Length + 7) & ~7);
            region.CopyTo(new Span<byte>((void*)start, region.Length));
            dump = RingDump.Read(start, region.Length, reaped);
        }

        Check(RingDump.BytesUpToData(region) >= 0, "a length below zero");
        foreach (string problem in dump.Problems)
        {
            Check(problem.Length > 0, "a problem without a word");
        }

        _problems += dump.Problems.Count;
        _entries += dump.Entries.Count + dump.Answered.Count;
        _sound += dump.IsSound ? 1 : 0;
        Check(dump.Entries.Count + dump.Answered.Count <= (region.Length / RingAbi.HeaderBytes * 2) + 2, "more entries than there are bytes for");
        return (uint)Math.Min(dump.Entries.Count, 15) | (uint)Math.Min(dump.Answered.Count, 7) << 4 | (uint)Math.Min(dump.Problems.Count, 15) << 7
            | (dump.IsSound ? 1ul << 11 : 0) | (dump.Mailbox is null ? 0 : 1ul << 12);
    }

    public override void Dispose()
    {
        Memory.UnmapGuarded(_guarded, GuardedBytes);
        base.Dispose();
    }
}
