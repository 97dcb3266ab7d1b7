using System.Runtime.InteropServices;
using Scuse.Fuzz.Running;
using Scuse.Scsi;
using Scuse.Target;

namespace Scuse.Fuzz.Targets;

/// <summary>
/// The target core with its device servers, at both pass levels, and what an initiator may send: any CDB with any parameter list, task management, lost sessions. Every command ends
/// once, with a status that exists and sense data that is some; no memory shows what another command left there; the units live on.
/// </summary>
/// <remarks>
/// An input: who and how (two bits for the nexus, three for the logical unit, one that lets the disks take their time, two for what the announced length is), what (below 0xE0 a command,
/// and its task attribute), the room for Data-In, then the CDB in the length of its group and the parameter list, which is repeated where the command takes more.
/// Two targets are given the same. Their memory holds different things before it is written: if their answers differ, one has shown it.
/// </remarks>
sealed class ScsiCommands : FuzzTarget
{
    const int HeaderBytes = 3;
    const int MaxOut = 128 << 10;

    static readonly int[] s_rooms = [0, 255, 4096, 65536, 1, 4, 8, 16, 18, 24, 36, 96, 252, 512, 513, 8192];

    CommandWorld _one = new(0x11), _other = new(0xEE);
    long _commands, _good, _inputs;

    public override string Name => "scsi-commands";

    public override int InputsPerReset => 256;

    public override int MaxInputBytes => 320;

    public override void Reset()
    {
        Count();
        _one = new CommandWorld(0x11);
        _other = new CommandWorld(0xEE);
    }

    public override void Count()
    {
        _commands += _one.Completed;
        _good += _one.Good;
        Tally["commands"] = _commands;
        Tally["good"] = _good;
    }

    public override ulong Execute(ReadOnlySpan<byte> input)
    {
        if (input.Length <= HeaderBytes)
        {
            return 0;
        }

        Do(_one, input);
        Do(_other, input);
        return _one.Outcome;
    }

    public override void Settle()
    {
        bool isTime = ++_inputs % 8 == 0;
        foreach (CommandWorld world in (ReadOnlySpan<CommandWorld>)[_one, _other])
        {
            if (isTime)
            {
                world.BeLate(false);
                world.Settle();
                world.LookAtUnits();
            }
        }

        Check(CollectionsMarshal.AsSpan(_one.Told).SequenceEqual(CollectionsMarshal.AsSpan(_other.Told)), "what a command was told hangs on what was in memory before");
        _one.Told.Clear();
        _other.Told.Clear();
        if (isTime)
        {
            Check(_one.Media.Zip(_other.Media).All(static pair => pair.First.AsSpan().SequenceEqual(pair.Second)), "what was written hangs on what was in memory before");
        }
    }

    static void Do(CommandWorld world, ReadOnlySpan<byte> input)
    {
        byte how = input[0], what = input[1];
        int nexus = (how & 3) % 3;
        int unit = how >> 2 & 7;
        ulong lun = unit < world.Units ? LunAddress.Format(unit) : unit switch
        {
            5 => 0xC101_0000_0000_0000, // the REPORT LUNS well-known logical unit
            6 => 0xFFFF_FFFF_FFFF_FFFF,
            _ => LunAddress.Format(unit),
        };
        world.BeLate((how & 0x20) != 0);
        ReadOnlySpan<byte> rest = input[HeaderBytes..];
        if (what < 0xE0)
        {
            int length = Math.Min(CdbLength(rest), rest.Length);
            ReadOnlySpan<byte> cdb = rest[..length];
            world.Send(nexus, lun, (TaskAttribute)(what % 5), cdb, rest[length..], Announced(how >> 6, cdb, rest.Length - length), s_rooms[input[2] % s_rooms.Length]);
        }
        else if (what < 0xF0)
        {
            world.Manage(nexus, lun, (byte)(what & 0xF), rest[0]);
        }
        else if (what < 0xF8)
        {
            world.LoseNexus(nexus);
        }
        else
        {
            world.Wait(rest[0] * 100);
        }

        // Some of what is to be done; the rest is done among the commands that follow.
        for (int steps = (how & 0x20) != 0 ? input[2] >> 4 : int.MaxValue; steps > 0 && world.Step(); steps--)
        {
        }
    }

    /// <summary>How much data the initiator says that it brings: what the CDB asks for, what there is, none, or something else.</summary>
    static int Announced(int how, ReadOnlySpan<byte> cdb, int parameters)
    {
        CdbTransfer transfer = CdbTransfer.Describe(cdb, 512);
        long length = how switch
        {
            0 => transfer.Direction == TransferDirection.In ? 0 : transfer.Direction == TransferDirection.Out ? transfer.LengthBytes : parameters,
            1 => parameters,
            2 => 0,
            _ => transfer.LengthBytes + parameters,
        };
        return (int)Math.Min(length, MaxOut);
    }

    /// <summary>SPC-4 clause 4.2.5.1; a variable length CDB by what it says of itself.</summary>
    static int CdbLength(ReadOnlySpan<byte> cdb) => (cdb[0] >> 5) switch
    {
        0 => 6,
        1 or 2 => 10,
        3 when cdb[0] == 0x7F && cdb.Length > 7 => 8 + cdb[7],
        3 => 10,
        4 => 16,
        5 => 12,
        _ => 6 + (cdb[0] & 0xF),
    };
}
