using System.Text.Json;
using System.Text.Json.Serialization;
using Microsoft.Extensions.Logging;
using Scuse.Linux;
using Scuse.Target;

namespace Scuse.Engine.Reservations;

/// <summary>
/// Keeps persistent reservations in files, one for each logical unit that has any: JSON, replaced as a whole, so that a crash at any moment leaves
/// the old state or the new one.
/// </summary>
/// <param name="folder">Where the files are; made when it is not there.</param>
/// <param name="targetName">The target, which is part of the files' names: several engines may share a folder.</param>
/// <param name="post">Has the owning reactor run something soon.</param>
/// <param name="logger">Where to tell.</param>
sealed partial class ReservationFiles(string folder, string targetName, Action<Action> post, ILogger logger) : IReservationStore
{
    /// <summary>What was kept for a logical unit; null when nothing was.</summary>
    /// <exception cref="EngineException">There is a file, but it cannot be read: what it held matters to initiators, so it is not passed over.</exception>
    public ReservationState? Load(int lun)
    {
        string path = PathOf(lun);
        try
        {
            if (!File.Exists(path))
            {
                return null;
            }

            ReservationFile file = JsonSerializer.Deserialize(File.ReadAllBytes(path), ReservationJson.Default.ReservationFile)
                ?? throw new JsonException("it holds null");
            return file.ToState();
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException or JsonException)
        {
            throw new EngineException($"LUN {lun}: the reservations in {path} cannot be read: {exception.Message}", exception);
        }
    }

    public async ValueTask<bool> SaveAsync(int lun, ReservationState state)
    {
        TaskCompletionSource<bool> saved = new(); // goes on where it is completed: on the reactor
        ThreadPool.UnsafeQueueUserWorkItem(
            _ =>
            {
                bool isKept = TrySave(lun, state);
                post(() => saved.SetResult(isKept));
            },
            null);
        return await saved.Task;
    }

    bool TrySave(int lun, ReservationState state)
    {
        string path = PathOf(lun);
        try
        {
            if (!state.PersistsThroughPowerLoss || state.Registrations.Count == 0)
            {
                AtomicFile.Remove(path);
                return true;
            }

            Directory.CreateDirectory(folder, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
            AtomicFile.Replace(path, JsonSerializer.SerializeToUtf8Bytes(ReservationFile.Of(state), ReservationJson.Default.ReservationFile));
            return true;
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            LogNotKept(logger, lun, path, exception.Message);
            return false;
        }
    }

    string PathOf(int lun) => Path.Combine(folder, $"{targetName.Replace(':', '_')}.lun{lun}.reservations.json");

    [LoggerMessage(Level = LogLevel.Error, Message = "LUN {Lun}: the reservations cannot be kept in {Path}: {Reason}; the initiator's command fails")]
    static partial void LogNotKept(ILogger logger, int lun, string path, string reason);
}

/// <summary>A state as it stands in a file.</summary>
sealed record ReservationFile
{
    public const int CurrentVersion = 1;

    public required int Version { get; init; }

    public required uint Generation { get; init; }

    public required IReadOnlyList<Registration> Registrations { get; init; }

    public PersistentReservationType? Type { get; init; }

    public string? Holder { get; init; }

    public static ReservationFile Of(ReservationState state) => new()
    {
        Version = CurrentVersion,
        Generation = state.Generation,
        Registrations = state.Registrations,
        Type = state.Type,
        Holder = state.Holder,
    };

    /// <exception cref="JsonException">It makes no sense.</exception>
    public ReservationState ToState()
    {
        if (Version != CurrentVersion)
        {
            throw new JsonException($"it has version {Version}; only {CurrentVersion} is known");
        }

        var state = new ReservationState
        {
            Generation = Generation,
            PersistsThroughPowerLoss = true,
            Registrations = Registrations,
            Type = Type,
            Holder = Holder,
        };
        bool isHolderRight = Type is null || state.IsAllRegistrants ? Holder is null : Holder is not null && state.Find(Holder) is not null;
        bool areKeysRight = Registrations.All(static registration => registration.Key != 0 && registration.InitiatorPort.Length > 0)
            && Registrations.DistinctBy(static registration => registration.InitiatorPort).Count() == Registrations.Count;
        return isHolderRight && areKeysRight && (Type is null || Enum.IsDefined(Type.Value)) ? state : throw new JsonException("registrations and reservation do not fit together");
    }
}

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, WriteIndented = true, RespectRequiredConstructorParameters = true, RespectNullableAnnotations = true)]
[JsonSerializable(typeof(ReservationFile))]
sealed partial class ReservationJson : JsonSerializerContext;
