using System.Text.Json;
using System.Text.Json.Serialization;
using Scuse.Engine.States;
using Scuse.Target;

namespace Scuse.Engine.Reservations;

/// <summary>
/// Keeps persistent reservations in files, one for each logical unit that has any: JSON, replaced as a whole, so that a crash at any moment leaves
/// the old state or the new one.
/// </summary>
sealed class ReservationFiles(StateFolder folder) : IReservationStore
{
    const string What = "reservations";

    /// <summary>What was kept for a logical unit; null when nothing was.</summary>
    /// <exception cref="EngineException">There is a file, but it cannot be read: what it held matters to initiators, so it is not passed over.</exception>
    public ReservationState? Load(int lun)
    {
        try
        {
            return folder.Read(lun, What) is not { } content ? null
                : (JsonSerializer.Deserialize(content, ReservationJson.Default.ReservationFile) ?? throw new JsonException("it holds null")).ToState();
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException or JsonException)
        {
            throw new EngineException($"LUN {lun}: the reservations in {folder.PathOf(lun, What)} cannot be read: {exception.Message}", exception);
        }
    }

    public ValueTask<bool> SaveAsync(int lun, ReservationState state)
    {
        bool isEmpty = !state.PersistsThroughPowerLoss || state.Registrations.Count == 0;
        return folder.WriteAsync(lun, What, isEmpty ? null : JsonSerializer.SerializeToUtf8Bytes(ReservationFile.Of(state), ReservationJson.Default.ReservationFile));
    }
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
