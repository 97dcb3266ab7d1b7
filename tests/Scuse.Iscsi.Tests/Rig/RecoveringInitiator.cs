using Scuse.Iscsi.Pdus;
using Scuse.Target;

namespace Scuse.Iscsi.Tests.Rig;

/// <summary>
/// An initiator that uses all that ErrorRecoveryLevel 1 and 2 have, on several connections whose lines lose and damage PDUs and break: it reads and writes
/// places that no other command of its own is at, and knows what has to be there. RFC 7143 section 7 and appendix D.
/// </summary>
sealed class RecoveringInitiator
{
    const int Places = 16;
    const int PlaceBlocks = 32; // 16 KiB
    const uint ClaimOfDoubt = 0xE000_0001;
    static readonly TaskManagementResponse[] Done = [TaskManagementResponse.FunctionComplete];
    static readonly TaskManagementResponse[] DoneOrNeedless = [TaskManagementResponse.FunctionComplete, TaskManagementResponse.TaskStillAllegiant];
    readonly Random _random;
    readonly Weather _weather;
    readonly Node _node;
    readonly Line[] _lines;
    readonly List<Command> _commands = [];
    readonly byte[][] _disk = [.. Enumerable.Range(0, Places).Select(static _ => new byte[PlaceBlocks * FakeBackstore.BlockSize])];
    uint _nextTag = 1;
    uint _expCmdSN;

    public RecoveringInitiator(Node node, int seed, int level, int connections, Weather weather)
    {
        _random = new Random(seed);
        _weather = weather;
        _node = node;
        Initiator leading = new Initiator(node, Cut.Whole, seed).Login(
            $"ErrorRecoveryLevel={level}", $"MaxConnections={connections}", "HeaderDigest=CRC32C", "DataDigest=CRC32C", "InitialR2T=No", "FirstBurstLength=4096",
            "MaxBurstLength=4096", "MaxOutstandingR2T=2", "MaxRecvDataSegmentLength=1024");
        _lines = [.. Enumerable.Range(0, connections).Select(i => new Line((ushort)i, i == 0 ? leading : leading.Join((ushort)i, Digests)))];
    }

    static string[] Digests => ["HeaderDigest=CRC32C", "DataDigest=CRC32C", "MaxRecvDataSegmentLength=1024"];

    public int Completed { get; private set; }

    /// <summary>What the weather did, and what was done about it.</summary>
    public int Lost { get; private set; }

    public int Damaged { get; private set; }

    public int Broken { get; private set; }

    public int Snacks { get; private set; }

    public int Claims { get; private set; }

    public IscsiSession Session => _lines[0].Wire.Connection.Session!;

    /// <summary>Has so many commands completed; throws when nothing goes on any more.</summary>
    public void Run(int count)
    {
        const int patience = 300;
        int idle = 0;
        while (Completed < count || _commands.Count > 0)
        {
            int before = Completed;
            if (_commands.Count < 8 && Completed + _commands.Count < count)
            {
                Begin();
            }

            if (_random.Next(4) == 0)
            {
                _node.Device.HoldsSubmit = !_node.Device.HoldsSubmit;
                _node.Device.AnswerHeld();
            }

            foreach (Line line in _lines)
            {
                Listen(line);
                Assert.Empty(line.Wire.Connection.CloseReason);
                if (line.IsCut || _random.NextDouble() < _weather.Breaks)
                {
                    Break(line);
                }
            }

            if (_random.Next(6) == 0)
            {
                AskForWhatIsMissing();
            }

            idle = Completed == before ? idle + 1 : 0;
            Assert.True(idle < patience, $"nothing goes on: {string.Join("; ", _commands)}");
        }
    }

    void Begin()
    {
        int place = _random.Next(Places);
        if (_commands.Exists(command => command.Place == place))
        {
            return;
        }

        Line line = _lines[_random.Next(_lines.Length)];
        bool isWrite = _random.Next(2) == 0;
        byte[] data = new byte[_disk[place].Length];
        if (isWrite)
        {
            _random.NextBytes(data);
        }

        var command = new Command(_nextTag++, isWrite, place, data, line.Wire.CmdSN++) { Line = line };
        _commands.Add(command);
        Send(command);
    }

    /// <summary>Sends a command, for the first time or once more. RFC 7143 section 7.2.1.</summary>
    void Send(Command command)
    {
        Initiator wire = command.Line.Wire;
        uint lba = (uint)(command.Place * PlaceBlocks);
        if (!command.IsWrite)
        {
            wire.SendCommand(ScsiCommandPdu.ReadBit, command.Tag, (uint)command.Data.Length, Initiator.Cdb(0x28, lba, PlaceBlocks), cmdSN: command.CmdSN);
            return;
        }

        Harm(wire);
        wire.SendCommand(
            ScsiCommandPdu.WriteBit, command.Tag, (uint)command.Data.Length, Initiator.Cdb(0x2A, lba, PlaceBlocks), command.Data[..1024], final: false, cmdSN: command.CmdSN);
        for (uint dataSN = 0; dataSN < 3; dataSN++)
        {
            int offset = 1024 * (int)(dataSN + 1);
            Harm(wire);
            wire.SendDataOut(command.Tag, Initiator.None, dataSN, offset, command.Data.AsSpan(offset, 1024), final: dataSN == 2);
        }
    }

    void Harm(Initiator wire)
    {
        if (_random.NextDouble() < _weather.Damages)
        {
            Damaged++;
            wire.NextDamage = Damage.Data;
        }
    }

    void Listen(Line line)
    {
        foreach (Pdu pdu in line.Wire.Receive())
        {
            Learn(pdu.ExpCmdSN);
            if (_random.NextDouble() < _weather.Loses)
            {
                Lost++;
                continue;
            }

            Take(line, pdu);
            if (line.IsCut)
            {
                return; // what else came is lost with the line
            }
        }

        // A status counts as received when all its data is there: until then the target has to keep that.
        while (line.Seen.TryGetValue(line.ExpStatSN, out Command? command) && command is null or { IsComplete: true })
        {
            line.Seen.Remove(line.ExpStatSN++);
        }

        line.Wire.ExpStatSN = line.ExpStatSN;
    }

    void Learn(uint expCmdSN) => _expCmdSN = Math.Max(_expCmdSN, expCmdSN);

    void Take(Line line, Pdu pdu)
    {
        Command? command = pdu.Opcode is Opcode.DataIn or Opcode.R2T or Opcode.ScsiResponse ? _commands.Find(one => one.Tag == pdu.Tag) : null;
        if (pdu.TakesStatSN && pdu.StatSN >= line.ExpStatSN)
        {
            line.Seen[pdu.StatSN] = command;
        }

        switch (pdu.Opcode)
        {
            case Opcode.R2T when command is not null && command.Answered.Add(pdu.R2T.TargetTransferTag):
                command.R2Ts.Add(pdu.R2T.R2TSN);
                SendData(line, command, pdu.R2T);
                break;
            case Opcode.DataIn when command is not null:
                pdu.Data.CopyTo(command.Data, (int)pdu.DataIn.BufferOffset);
                command.DataSNs.Add(pdu.DataIn.DataSN);
                if (pdu.DataIn.HasStatus)
                {
                    Conclude(command, pdu.DataIn.Status, pdu.DataIn.DataSN + 1);
                }

                break;
            case Opcode.ScsiResponse when command is not null:
                Conclude(command, pdu.Response.Status, pdu.Response.ExpDataSN);
                break;
            case Opcode.TaskManagementResponse:
                Assert.Contains((TaskManagementResponse)pdu.TaskManagementResponse, pdu.Tag == ClaimOfDoubt ? DoneOrNeedless : Done);
                break;
            case Opcode.Reject when pdu.RejectReason == RejectReason.SnackReject:
                Assert.NotEqual(SnackType.Status, new SnackPdu(pdu.Data).Type);
                break;
        }

        foreach (Command done in _commands.Where(static one => one.IsComplete).ToList())
        {
            Complete(done);
        }
    }

    static void Conclude(Command command, byte status, uint dataPdus)
    {
        Assert.Equal(0, status);
        command.HasStatus = true;
        command.DataPdus = command.IsWrite ? 0 : dataPdus;
    }

    void Complete(Command command)
    {
        _commands.Remove(command);
        Completed++;
        if (command.IsWrite)
        {
            _disk[command.Place] = command.Data;
            return;
        }

        Assert.True(_disk[command.Place].AsSpan().SequenceEqual(command.Data), $"{command} read what was not written");
    }

    /// <summary>Brings what was asked for; the line may break in the middle of a PDU.</summary>
    void SendData(Line line, Command command, R2TPdu r2t)
    {
        Initiator wire = line.Wire;
        int offset = (int)r2t.BufferOffset, end = offset + (int)r2t.DesiredLength;
        for (uint dataSN = 0; offset < end; dataSN++)
        {
            int length = Math.Min(_random.Next(500, 1500), end - offset);
            if (_random.NextDouble() < _weather.Breaks)
            {
                byte[] header = new byte[48];
                DataOutPdu.WriteTo(header, offset + length == end, 0, command.Tag, r2t.TargetTransferTag, wire.ExpStatSN, dataSN, (uint)offset, length);
                byte[] pdu = wire.Sealed(header, new byte[length]); // what comes of it is not to count
                wire.Feed(pdu.AsSpan(0, _random.Next(1, pdu.Length)));
                line.IsCut = true;
                return;
            }

            Harm(wire);
            wire.SendDataOut(command.Tag, r2t.TargetTransferTag, dataSN, offset, command.Data.AsSpan(offset, length), final: offset + length == end);
            offset += length;
        }
    }

    /// <summary>What an initiator does when nothing has come for a while.</summary>
    void AskForWhatIsMissing()
    {
        foreach (Line line in _lines)
        {
            for (uint statSN = line.ExpStatSN; line.Seen.Keys.Any(seen => seen > statSN); statSN++)
            {
                if (!line.Seen.ContainsKey(statSN))
                {
                    Snack(line, SnackType.Status, Initiator.None, statSN);
                }
            }

            line.Wire.SendNop(0xF000_0000, immediate: true); // its answer shows the newest StatSN and ExpCmdSN
        }

        foreach (Command command in _commands)
        {
            if (command.CmdSN >= _expCmdSN)
            {
                Send(command);
            }
            else if (command.IsInDoubt)
            {
                // It was there when its first connection broke, behind a gap; or the retry brought it.
                command.IsInDoubt = false;
                command.Line.Wire.SendTaskManagement(TaskManagementFunction.TaskReassign, referenced: command.Tag, tag: ClaimOfDoubt);
            }
            else if (command.IsWrite)
            {
                for (uint r2tSN = 0; r2tSN <= command.R2Ts.DefaultIfEmpty().Max() + 1; r2tSN++)
                {
                    if (!command.R2Ts.Contains(r2tSN))
                    {
                        Snack(command.Line, SnackType.DataOrR2T, command.Tag, r2tSN);
                    }
                }
            }
            else if (command.HasStatus)
            {
                for (uint dataSN = command.FirstDataSN; dataSN < command.DataPdus; dataSN++)
                {
                    if (!command.DataSNs.Contains(dataSN))
                    {
                        Snack(command.Line, SnackType.DataOrR2T, command.Tag, dataSN);
                    }
                }
            }
        }
    }

    void Snack(Line line, SnackType type, uint tag, uint number)
    {
        Snacks++;
        line.Wire.SendSnack(type, tag, number, 1);
    }

    /// <summary>The line breaks; another connection takes its place and claims its tasks. RFC 7143 section 7.2.2.</summary>
    void Break(Line line)
    {
        Broken++;
        line.IsCut = false;
        line.Wire.Connection.Closed();
        line.Wire = _lines[0].Wire.Join(line.Cid, Digests);
        line.Wire.Acknowledges = false;
        line.ExpStatSN = line.Wire.ExpStatSN;
        line.Seen.Clear();
        Learn(line.Wire.LastExpCmdSN);
        foreach (Command command in _commands)
        {
            if (command.Line == line && command.CmdSN >= _expCmdSN)
            {
                command.IsInDoubt = true;
            }
            else if (command.Line == line)
            {
                Claims++;
                command.IsInDoubt = false;
                line.Wire.SendTaskManagement(TaskManagementFunction.TaskReassign, referenced: command.Tag, expDataSN: command.KeepPrefix());
            }
        }
    }

    /// <summary>How likely a line does what to a PDU, or breaks in a turn.</summary>
    public sealed record Weather(double Loses, double Damages, double Breaks);

    sealed class Line(ushort cid, Initiator wire)
    {
        public ushort Cid => cid;

        public Initiator Wire { get; set; } = wire;

        /// <summary>Whether it has broken in the middle of a PDU.</summary>
        public bool IsCut { get; set; }

        /// <summary>The first status that is not there, or whose data is not.</summary>
        public uint ExpStatSN { get; set; } = NotAcknowledging(wire).ExpStatSN;

        /// <summary>Statuses from there on that are there, and what they conclude.</summary>
        public Dictionary<uint, Command?> Seen { get; } = [];

        static Initiator NotAcknowledging(Initiator wire)
        {
            wire.Acknowledges = false;
            return wire;
        }
    }

    sealed record Command(uint Tag, bool IsWrite, int Place, byte[] Data, uint CmdSN)
    {
        public required Line Line { get; set; }

        public HashSet<uint> DataSNs { get; } = [];

        public HashSet<uint> R2Ts { get; } = [];

        public HashSet<uint> Answered { get; } = [];

        /// <summary>Before that number all data is there, and was said to be.</summary>
        public uint FirstDataSN { get; private set; }

        /// <summary>Whether it is not known which connection brought it.</summary>
        public bool IsInDoubt { get; set; }

        public bool HasStatus { get; set; }

        public uint DataPdus { get; set; }

        public bool IsComplete => HasStatus && DataSNs.Count(number => number >= FirstDataSN && number < DataPdus) == Math.Max((int)(DataPdus - FirstDataSN), 0);

        /// <summary>Forgets data behind the first gap, which comes again in another cut, and R2Ts. Returns the DataSN that the data goes on with.</summary>
        public uint KeepPrefix()
        {
            while (DataSNs.Contains(FirstDataSN))
            {
                FirstDataSN++;
            }

            DataSNs.Clear();
            R2Ts.Clear();
            HasStatus = false;
            DataPdus = 0;
            return FirstDataSN;
        }

        public override string ToString() =>
            $"{(IsWrite ? "write" : "read")} {Tag:X} CmdSN {CmdSN} status {HasStatus} data {FirstDataSN}+{DataSNs.Count}/{DataPdus} R2Ts {string.Join(',', R2Ts)}";
    }
}
