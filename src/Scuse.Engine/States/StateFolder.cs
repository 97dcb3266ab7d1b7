using Microsoft.Extensions.Logging;
using Scuse.Engine.Targets;
using Scuse.Linux;

namespace Scuse.Engine.States;

/// <summary>
/// The folder where an engine keeps what is to survive it: files that are replaced as a whole, so that a crash at any moment leaves the old content or the new one.
/// </summary>
/// <param name="folder">Where the files are; made when it is not there.</param>
/// <param name="targetName">The target, which is part of the files' names: several engines may share a folder.</param>
/// <param name="post">Has the owning reactor run something soon.</param>
/// <param name="logger">Where to tell.</param>
/// <param name="targets">How many targets the engine has.</param>
sealed partial class StateFolder(string folder, string targetName, Action<Action> post, ILogger logger, TargetCount? targets = null)
{
    /// <summary>What a logical unit's file holds; null when there is none.</summary>
    /// <exception cref="IOException">It cannot be read.</exception>
    /// <exception cref="UnauthorizedAccessException">It may not be read.</exception>
    public byte[]? Read(int lun, string what)
    {
        string path = PathOf(lun, what);
        return File.Exists(path) ? File.ReadAllBytes(path) : null;
    }

    /// <summary>
    /// Replaces what a logical unit's file holds; null removes the file. Done by another thread, goes on on the reactor. False when it cannot be done; then the old
    /// content is still there.
    /// </summary>
    public async ValueTask<bool> WriteAsync(int lun, string what, byte[]? content)
    {
        TaskCompletionSource<bool> written = new(); // goes on where it is completed: on the reactor
        ThreadPool.UnsafeQueueUserWorkItem(
            _ =>
            {
                bool isKept = TryWrite(lun, what, content);
                post(() => written.SetResult(isKept));
            },
            null);
        return await written.Task;
    }

    /// <summary>Where a logical unit's file is.</summary>
    public string PathOf(int lun, string what) => Path.Combine(folder, $"{targetName.Replace(':', '_')}.lun{lun}.{what}.json");

    bool TryWrite(int lun, string what, byte[]? content)
    {
        string path = PathOf(lun, what);
        try
        {
            if (content is null)
            {
                AtomicFile.Remove(path);
                return true;
            }

            Directory.CreateDirectory(folder, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
            AtomicFile.Replace(path, content);
            return true;
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            LogNotKept(logger, new LunName(lun, targetName, targets), path, exception.Message);
            return false;
        }
    }

    [LoggerMessage(Level = LogLevel.Error, Message = "{Lun}: nothing can be kept in {Path}: {Reason}; the initiator's command fails")]
    static partial void LogNotKept(ILogger logger, LunName lun, string path, string reason);
}
