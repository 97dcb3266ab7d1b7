using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using Scuse.Cli.Control;
using Scuse.Engine;
using Scuse.Engine.Management;
using Scuse.Ring.Diagnostics;
using Scuse.Scsi;

namespace Scuse.Cli.Commands;

/// <summary><c>scuse ring</c>: looks into the memory that a logical unit shares with its handler.</summary>
static class RingCommand
{
    /// <summary>More than any ring has: the kernel's are up to 8 MiB. It bounds what a file can make us read.</summary>
    const int MaxRingBytes = 64 << 20;

    public static Command Create() => new("ring", "Look into the ring of a logical unit")
    {
        new DumpCommand(),
        new SaveCommand(),
    };

    static Option<int> RingOption() => new("--ring") { Description = "Which of its rings, from 0: there are several where its target is spread over several reactors", HelpName = "NUMBER" };

    sealed class DumpCommand : ControlCommand
    {
        readonly LunArgument _lun = new("A logical unit of a running engine, as LUN or TARGET/LUN", isOptional: true);
        readonly Option<int> _ring = RingOption();
        readonly Option<string?> _file = new("--file") { Description = "Instead of a logical unit: a region that was saved, or any file with one in it", HelpName = "REGION" };

        public DumpCommand()
            : base("dump", "Decode a ring: its mailbox, its entries, and who waits for how long")
        {
            Arguments.Add(_lun);
            Options.Add(_ring);
            Options.Add(_file);
        }

        protected override bool NeedsEngine(ParseResult parsed) => parsed.GetValue(_file) is null;

        protected override Task AnswerAsync(ControlClient? engine, ParseResult parsed, bool asJson, CancellationToken cancellation)
        {
            if (parsed.GetValue(_file) is { } file)
            {
                if (parsed.GetValue(_lun) is not null)
                {
                    throw new FormatException("a LUN and --file exclude each other");
                }

                RingDump dump = ReadFile(file).WithOperations(static cdb => OperationName.Describe(cdb));
                if (asJson)
                {
                    Report.Line(JsonSerializer.Serialize(dump, ControlJson.Default.RingDump));
                }
                else
                {
                    RingView.Show(dump);
                }

                return Task.CompletedTask;
            }

            return _lun.ResourceOf(parsed) is { } lun
                ? ShowAsync(engine!, $"{lun}/ring?ring={parsed.GetValue(_ring)}", ControlJson.Default.RingStatus, asJson, RingView.Show, cancellation)
                : throw new FormatException("scuse ring dump needs a LUN, or --file REGION");
        }

        static RingDump ReadFile(string path)
        {
            using var file = File.OpenHandle(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite);
            long length = RandomAccess.GetLength(file);
            byte[] start = new byte[Math.Min(length, Ring.RingAbi.MailboxBytes)];
            start = start[..RandomAccess.Read(file, start, 0)];
            byte[] bytes = new byte[Math.Min(length, Math.Clamp(RingDump.BytesUpToData(start), start.Length, MaxRingBytes))];
            return RingDump.Read(bytes.AsSpan(0, RandomAccess.Read(file, bytes, 0)), length);
        }
    }

    sealed class SaveCommand : ControlCommand
    {
        readonly LunArgument _lun = new("A logical unit of a running engine, as LUN or TARGET/LUN");
        readonly Argument<string> _file = new("FILE") { Description = "The file to make" };
        readonly Option<int> _ring = RingOption();
        readonly Option<bool> _withData = new("--with-data") { Description = "Save the data area too: it holds what initiators read and wrote lately" };

        public SaveCommand()
            : base("save", "Save the memory that a logical unit shares with its handler, for scuse ring dump --file")
        {
            Arguments.Add(_lun);
            Arguments.Add(_file);
            Options.Add(_ring);
            Options.Add(_withData);
        }

        protected override async Task AnswerAsync(ControlClient? engine, ParseResult parsed, bool asJson, CancellationToken cancellation)
        {
            LunReference lun = _lun.Of(parsed)!.Value;
            string path = parsed.GetValue(_file)!;
            using HttpResponseMessage response = await engine!.OpenAsync($"{LunArgument.ResourceOf(lun)}/region?ring={parsed.GetValue(_ring)}&data={(parsed.GetValue(_withData) ? "true" : "false")}", cancellation);
            long length = response.Headers.TryGetValues(ControlApi.RegionLengthHeader, out IEnumerable<string>? values)
                && long.TryParse(values.First(), NumberStyles.None, CultureInfo.InvariantCulture, out long known)
                ? known
                : throw new EngineException("the engine did not say how long the region is");
            long saved = await SparseFile.CreateAsync(path, await response.Content.ReadAsStreamAsync(cancellation), length, cancellation);
            Report.Line(asJson
                ? JsonSerializer.Serialize(new SavedRegionStatus(lun.Target, lun.Number, Path.GetFullPath(path), length, saved), ControlJson.Default.SavedRegionStatus)
                : $"LUN {lun}: {Report.Size(saved)} of a region of {Report.Size(length)} saved in {path}");
        }
    }
}
