using Scuse.Engine;

namespace Scuse.Cli.Control;

/// <summary>A region in a file: as long as the region, with room taken only for what is not zero.</summary>
static class SparseFile
{
    const int BlockBytes = 4096;
    const int CopyBytes = 64 * BlockBytes;

    /// <summary>Makes a file of that length that begins with these bytes. Returns how many bytes came.</summary>
    /// <exception cref="EngineException">There is such a file already, or the bytes ended early.</exception>
    public static async Task<long> CreateAsync(string path, Stream bytes, long length, CancellationToken cancellation)
    {
        if (File.Exists(path))
        {
            throw new EngineException($"{path} exists already");
        }

        // For its owner only: what initiators wrote may be in it.
        var options = new FileStreamOptions { Mode = FileMode.CreateNew, Access = FileAccess.Write, UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite, BufferSize = 0 };
        await using var file = new FileStream(path, options);
        try
        {
            return await CopyAsync(bytes, file, length, cancellation);
        }
        catch
        {
            File.Delete(path);
            throw;
        }
    }

    static async Task<long> CopyAsync(Stream bytes, FileStream file, long length, CancellationToken cancellation)
    {
        byte[] buffer = new byte[CopyBytes];
        long offset = 0;
        while (await bytes.ReadAtLeastAsync(buffer, buffer.Length, throwOnEndOfStream: false, cancellation) is var read and > 0)
        {
            for (int start = 0; start < read; start += BlockBytes)
            {
                ReadOnlyMemory<byte> block = buffer.AsMemory(start, Math.Min(BlockBytes, read - start));
                if (block.Span.ContainsAnyExcept((byte)0))
                {
                    await RandomAccess.WriteAsync(file.SafeFileHandle, block, offset + start, cancellation);
                }
            }

            offset += read;
        }

        file.SetLength(Math.Max(offset, length));
        return offset;
    }
}
