using System.Buffers.Binary;
using System.IO.MemoryMappedFiles;

namespace Scuse.Fuzz.Running;

/// <summary>
/// The inputs since the target's last reset, in a file that is mapped: when the process crashes, the file says what it was doing. The same form is
/// written for a finding.
/// </summary>
/// <remarks>8 bytes of name, u32 1 if a second thread wrote to the memory, u32 number of inputs; each of them: u32 length and its bytes. Little-endian.</remarks>
sealed unsafe class Journal : IDisposable
{
    const int HeaderBytes = 16;
    const int RaceOffset = 8;
    const int CountOffset = 12;

    readonly MemoryMappedFile _file;
    readonly MemoryMappedViewAccessor _view;
    readonly byte* _bytes;
    readonly int _capacity;
    readonly int _maxInputBytes;
    int _end = HeaderBytes;
    int _count;

    public Journal(string path, int inputs, int maxInputBytes)
    {
        Path = path;
        _maxInputBytes = maxInputBytes;
        _capacity = HeaderBytes + (inputs * (sizeof(uint) + maxInputBytes));
        File.Delete(path);
        _file = MemoryMappedFile.CreateFromFile(path, FileMode.CreateNew, mapName: null, _capacity);
        _view = _file.CreateViewAccessor();
        _view.SafeMemoryMappedViewHandle.AcquirePointer(ref _bytes);
        Magic.CopyTo(All);
    }

    static ReadOnlySpan<byte> Magic => "SCUSEFZ1"u8;

    public string Path { get; }

    Span<byte> All => new(_bytes, _capacity);

    /// <summary>Where the next input is to be written.</summary>
    public Span<byte> Room => All.Slice(_end + sizeof(uint), _maxInputBytes);

    /// <summary>The target was reset.</summary>
    public void Clear(bool race)
    {
        (_end, _count) = (HeaderBytes, 0);
        BinaryPrimitives.WriteUInt32LittleEndian(All[CountOffset..], 0);
        BinaryPrimitives.WriteUInt32LittleEndian(All[RaceOffset..], race ? 1u : 0);
    }

    /// <summary>The input in <see cref="Room"/> is about to be executed.</summary>
    public ReadOnlySpan<byte> Commit(int length)
    {
        Span<byte> input = Room[..length];
        BinaryPrimitives.WriteUInt32LittleEndian(All[_end..], (uint)length);
        _end += sizeof(uint) + length;
        BinaryPrimitives.WriteUInt32LittleEndian(All[CountOffset..], (uint)++_count);
        return input;
    }

    /// <summary>Writes what there is to a file of its own.</summary>
    public void Save(string path) => File.WriteAllBytes(path, All[.._end]);

    /// <summary>Reads such a file, also one that a crash left behind.</summary>
    /// <exception cref="InvalidDataException">It is none.</exception>
    public static (bool Race, List<byte[]> Inputs) Load(string path)
    {
        byte[] all = File.ReadAllBytes(path);
        if (all.Length < HeaderBytes || !all.AsSpan().StartsWith(Magic))
        {
            throw new InvalidDataException($"{path} holds no inputs of a fuzzing run");
        }

        List<byte[]> inputs = [];
        int at = HeaderBytes;
        for (uint left = BinaryPrimitives.ReadUInt32LittleEndian(all.AsSpan(CountOffset)); left > 0; left--)
        {
            int length = BinaryPrimitives.ReadInt32LittleEndian(all.AsSpan(at));
            inputs.Add(all.AsSpan(at + sizeof(uint), length).ToArray());
            at += sizeof(uint) + length;
        }

        return (BinaryPrimitives.ReadUInt32LittleEndian(all.AsSpan(RaceOffset)) != 0, inputs);
    }

    public void Dispose()
    {
        _view.SafeMemoryMappedViewHandle.ReleasePointer();
        _view.Dispose();
        _file.Dispose();
    }
}
