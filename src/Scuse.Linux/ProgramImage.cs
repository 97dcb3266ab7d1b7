using System.Text;

namespace Scuse.Linux;

/// <summary>The program that runs in this process.</summary>
public static unsafe class ProgramImage
{
    /// <summary>
    /// Runs another program in this process, in place of this one, with the same standard streams and environment: it returns only by
    /// failing. A name without a slash is looked for in PATH. execvp(3).
    /// </summary>
    /// <param name="file">The program.</param>
    /// <param name="arguments">Its arguments, without its name.</param>
    /// <exception cref="LinuxException">It cannot be run (ENOENT, EACCES).</exception>
    public static void Replace(string file, IReadOnlyList<string> arguments)
    {
        ArgumentException.ThrowIfNullOrEmpty(file);
        ArgumentNullException.ThrowIfNull(arguments);
        byte[][] texts = new byte[arguments.Count + 1][];
        texts[0] = Terminated(file);
        for (int i = 0; i < arguments.Count; i++)
        {
            texts[i + 1] = Terminated(arguments[i]);
        }

        byte** pointers = stackalloc byte*[texts.Length + 1];
        for (int i = 0; i < texts.Length; i++)
        {
            pointers[i] = (byte*)System.Runtime.InteropServices.Marshal.UnsafeAddrOfPinnedArrayElement(texts[i], 0);
        }

        pointers[texts.Length] = null;
        _ = Native.execvp(pointers[0], pointers);
        throw Native.Failed("execvp", file);
    }

    // Pinned, so that its address holds during the call.
    static byte[] Terminated(string text)
    {
        byte[] bytes = GC.AllocateArray<byte>(Encoding.UTF8.GetByteCount(text) + 1, pinned: true);
        Encoding.UTF8.GetBytes(text, bytes);
        return bytes;
    }
}
