using System.Runtime.CompilerServices;

namespace Scuse.Simulation.Model;

/// <summary>Where a command of the model is, as the engine sees it.</summary>
enum Phase : byte
{
    NotSent,
    WantsBlock,
    WantsSlot,
    Posted,

    /// <summary>It missed its time limit while the handler had it: its initiator knows, its block is still the handler's.</summary>
    Overdue,

    /// <summary>Answered; what the initiator gets is on its way.</summary>
    Sending,

    /// <summary>Answered and sent; the handler keeps its block.</summary>
    Kept,
    Done,
}

/// <summary>What an initiator was told.</summary>
enum Told : byte
{
    Nothing,
    Good,
    Failed,
    Aborted,
}

/// <summary>Where an entry is, as its handler sees it.</summary>
enum EntryState : byte
{
    None,
    Posted,
    Published,
    Taken,
    Executed,

    /// <summary>The answer is in the ring, the tail before it.</summary>
    Answered,

    /// <summary>The target can see the answer.</summary>
    Shown,

    /// <summary>Reaped, but id and block stay with the handler until it frees them.</summary>
    Kept,
}

/// <summary>A handler's process.</summary>
enum ProcessState : byte
{
    None,
    Alive,
    Dead,
}

/// <summary>A command as the engine keeps it.</summary>
struct Command
{
    public Phase Phase;
    public Told Told;

    /// <summary>Its abort was asked for while the handler had it.</summary>
    public bool IsUnwanted;

    /// <summary>The handler keeps its block beyond the answer.</summary>
    public bool IsKept;

    /// <summary>Whose block it holds, counted from 1; 0: none.</summary>
    public byte Region;
    public byte Block;

    /// <summary>By what id the engine knows it in the ring.</summary>
    public byte Id;
}

/// <summary>An entry of one region's ring.</summary>
struct Entry
{
    public EntryState State;
    public byte Id;
    public byte Block;
}

/// <summary>One region with the process that it was given to.</summary>
struct Region
{
    public ProcessState Process;

    /// <summary>The read is answered with KEEP_BUF.</summary>
    public bool KeepsRead;
    public Entries Entries;
    public Contents Contents;
}

[InlineArray(World.CommandCount)]
struct Commands
{
    Command _first;
}

[InlineArray(World.CommandCount)]
struct Entries
{
    Entry _first;
}

[InlineArray(World.BlockCount)]
struct Contents
{
    byte _first;
}

[InlineArray(World.RegionCount)]
struct Regions
{
    Region _first;
}

/// <summary>
/// Everything there is in the model: two writes of 1 and 2 to the same block of the medium and a read of it, regions with two data blocks and a ring of two
/// slots each, their handlers, the medium, and what the initiator may rely on.
/// </summary>
struct World
{
    public const int CommandCount = 3, Read = 2, RegionCount = 3, BlockCount = 2, SlotCount = 2, IdCount = 3;

    /// <summary>What a block holds that was not filled, or is not there any more.</summary>
    public const byte Junk = 3;

    public Commands Commands;
    public Regions Regions;

    /// <summary>The region in service, counted from 1; 0: none.</summary>
    public byte Attached;
    public bool IsDraining;

    /// <summary>What the medium holds: 0, 1 or 2.</summary>
    public byte Medium;

    /// <summary>How often handlers and the engine may still be lost.</summary>
    public byte LossesLeft;
    public byte EngineCrashesLeft;

    /// <summary>A bit for each value that the medium may hold by what initiators were told; without the writes under way.</summary>
    public byte Candidates;

    /// <summary>A bit for each value that the read under way may return.</summary>
    public byte View;

    /// <summary>Bit w: write w had ended before the other one was sent.</summary>
    public byte EndedBeforeOther;

    /// <param name="losses">How many losses of handlers there may be.</param>
    /// <param name="engineCrashes">How many crashes of the engine.</param>
    /// <param name="commands">A bit for each command that is sent at all.</param>
    public static World Initial(int losses, int engineCrashes, int commands)
    {
        var world = new World { Attached = 1, LossesLeft = (byte)losses, EngineCrashesLeft = (byte)engineCrashes, Candidates = 1 };
        world.Regions[0].Process = ProcessState.Alive;
        world.Regions[0].Contents[0] = world.Regions[0].Contents[1] = Junk;
        for (int c = 0; c < CommandCount; c++)
        {
            world.Commands[c].Phase = (commands & (1 << c)) != 0 ? Phase.NotSent : Phase.Done;
        }

        return world;
    }

    /// <summary>The value that a command writes.</summary>
    public static byte ValueOf(int command) => (byte)(command + 1);

    /// <summary>The whole state in as few bits as it takes.</summary>
    public readonly Key ToKey()
    {
        var bits = new BitWriter();
        for (int c = 0; c < CommandCount; c++)
        {
            ref readonly Command command = ref Commands[c];
            bits.Write((byte)command.Phase, 3);
            bits.Write((byte)command.Told, 2);
            bits.Write(command.IsUnwanted ? 1 : 0, 1);
            bits.Write(command.IsKept ? 1 : 0, 1);
            bits.Write(command.Region, 2);
            bits.Write(command.Block, 1);
            bits.Write(command.Id, 2);
        }

        bits.Write(Attached, 2);
        bits.Write(IsDraining ? 1 : 0, 1);
        bits.Write(Medium, 2);
        bits.Write(LossesLeft, 3);
        bits.Write(EngineCrashesLeft, 2);
        bits.Write(Candidates, 3);
        bits.Write(View, 3);
        bits.Write(EndedBeforeOther, 2);
        bits.NextWord();
        for (int r = 0; r < RegionCount; r++)
        {
            ref readonly Region region = ref Regions[r];
            for (int c = 0; c < CommandCount; c++)
            {
                bits.Write((byte)region.Entries[c].State, 3);
                bits.Write(region.Entries[c].Id, 2);
                bits.Write(region.Entries[c].Block, 1);
            }
        }

        bits.NextWord();
        for (int r = 0; r < RegionCount; r++)
        {
            bits.Write((byte)Regions[r].Process, 2);
            bits.Write(Regions[r].KeepsRead ? 1 : 0, 1);
            bits.Write(Regions[r].Contents[0], 2);
            bits.Write(Regions[r].Contents[1], 2);
        }

        return bits.ToKey();
    }

    ref struct BitWriter
    {
        ulong _first, _second, _third;
        int _word, _at;

        public void Write(int value, int bits)
        {
            ref ulong word = ref _word == 0 ? ref _first : ref _word == 1 ? ref _second : ref _third;
            word |= (ulong)value << _at;
            _at += bits;
        }

        public void NextWord() => (_word, _at) = (_word + 1, 0);

        public readonly Key ToKey() => new(_first, _second, _third);
    }
}

/// <summary>A state, packed.</summary>
readonly record struct Key(ulong Commands, ulong Entries, ulong Regions)
{
    public override int GetHashCode() => (int)((Commands * 0x9E3779B97F4A7C15UL ^ Entries * 0xC2B2AE3D27D4EB4FUL ^ Regions * 0x165667B19E3779F9UL) >> 32);
}
