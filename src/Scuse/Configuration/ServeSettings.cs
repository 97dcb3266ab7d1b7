using System.Text.Json;
using System.Text.Json.Serialization;

namespace Scuse.Cli.Configuration;

/// <summary>What <c>scuse serve</c> can be told, by its options or by a file: each member has the name of its option. What is null was not said. docs/configuration.md.</summary>
sealed record ServeSettings
{
    public IReadOnlyList<string>? Portals { get; init; }

    public int? PortalGroup { get; init; }

    public string? Advertise { get; init; }

    public string? Isns { get; init; }

    public string? ChapFile { get; init; }

    public IReadOnlyList<string>? Initiators { get; init; }

    public bool? AllowAnyone { get; init; }

    public string? Socket { get; init; }

    public string? Control { get; init; }

    public int? CommandTimeout { get; init; }

    public int? QfullTimeout { get; init; }

    public string? OnLoss { get; init; }

    public string? DataArea { get; init; }

    public string? GlobalDataArea { get; init; }

    public int? KeepHandlers { get; init; }

    public string? State { get; init; }

    public int? NopInterval { get; init; }

    public int? ErrorRecoveryLevel { get; init; }

    public IReadOnlyList<string>? Limits { get; init; }

    public int? Spin { get; init; }

    public int? Reactors { get; init; }

    public bool? Spread { get; init; }

    public bool? Pin { get; init; }

    public IReadOnlyList<TargetSettings>? Targets { get; init; }

    /// <summary>These settings, and where they say nothing the others; of the limits both, these last.</summary>
    public ServeSettings Or(ServeSettings others) => new()
    {
        Portals = Portals ?? others.Portals,
        PortalGroup = PortalGroup ?? others.PortalGroup,
        Advertise = Advertise ?? others.Advertise,
        Isns = Isns ?? others.Isns,
        ChapFile = ChapFile ?? others.ChapFile,
        Initiators = Initiators ?? others.Initiators,
        AllowAnyone = AllowAnyone ?? others.AllowAnyone,
        Socket = Socket ?? others.Socket,
        Control = Control ?? others.Control,
        CommandTimeout = CommandTimeout ?? others.CommandTimeout,
        QfullTimeout = QfullTimeout ?? others.QfullTimeout,
        OnLoss = OnLoss ?? others.OnLoss,
        DataArea = DataArea ?? others.DataArea,
        GlobalDataArea = GlobalDataArea ?? others.GlobalDataArea,
        KeepHandlers = KeepHandlers ?? others.KeepHandlers,
        State = State ?? others.State,
        NopInterval = NopInterval ?? others.NopInterval,
        ErrorRecoveryLevel = ErrorRecoveryLevel ?? others.ErrorRecoveryLevel,
        Limits = Limits is null ? others.Limits : [.. others.Limits ?? [], .. Limits],
        Spin = Spin ?? others.Spin,
        Reactors = Reactors ?? others.Reactors,
        Spread = Spread ?? others.Spread,
        Pin = Pin ?? others.Pin,
        Targets = Targets ?? others.Targets,
    };

    /// <summary>The names of the members that these settings say something else about than the others.</summary>
    public IEnumerable<string> DifferencesFrom(ServeSettings others)
    {
        using JsonDocument mine = JsonSerializer.SerializeToDocument(this, SettingsJson.Default.ServeSettings), theirs = JsonSerializer.SerializeToDocument(others, SettingsJson.Default.ServeSettings);
        return [.. mine.RootElement.EnumerateObject().Where(member => !JsonElement.DeepEquals(member.Value, theirs.RootElement.GetProperty(member.Name))).Select(static member => member.Name)];
    }
}

/// <summary>A target, in a file or in a request to add one.</summary>
sealed record TargetSettings
{
    public string? Name { get; init; }

    public IReadOnlyList<LunSettings>? Luns { get; init; }

    public IReadOnlyList<string>? Initiators { get; init; }

    public string? ChapFile { get; init; }

    public IReadOnlyList<string>? LunMaps { get; init; }
}

/// <summary>A logical unit, or several: a spec as the command line takes it, alone or with its number.</summary>
[JsonConverter(typeof(LunSettingsConverter))]
sealed record LunSettings
{
    public string? Spec { get; init; }

    /// <summary>Its number, or that of the first; null: the one after those before it.</summary>
    public int? Lun { get; init; }
}

/// <summary>A logical unit is written as its spec, or as an object where it has a number of its own.</summary>
sealed class LunSettingsConverter : JsonConverter<LunSettings>
{
    public const string SpecMember = "spec", LunMember = "lun";

    public override LunSettings Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options)
    {
        if (reader.TokenType == JsonTokenType.String)
        {
            return new LunSettings { Spec = reader.GetString() };
        }

        if (reader.TokenType != JsonTokenType.StartObject)
        {
            throw new JsonException();
        }

        var lun = new LunSettings();
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            string? member = reader.GetString();
            reader.Read();
            lun = member switch
            {
                SpecMember when reader.TokenType == JsonTokenType.String => lun with { Spec = reader.GetString() },
                LunMember when reader.TokenType == JsonTokenType.Number && reader.TryGetInt32(out int number) => lun with { Lun = number },
                _ => throw new JsonException(),
            };
        }

        return lun;
    }

    public override void Write(Utf8JsonWriter writer, LunSettings value, JsonSerializerOptions options)
    {
        if (value.Lun is not { } number)
        {
            writer.WriteStringValue(value.Spec);
            return;
        }

        writer.WriteStartObject();
        writer.WriteString(SpecMember, value.Spec);
        writer.WriteNumber(LunMember, number);
        writer.WriteEndObject();
    }
}

[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase,
    UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow,
    ReadCommentHandling = JsonCommentHandling.Skip,
    AllowTrailingCommas = true)]
[JsonSerializable(typeof(ServeSettings))]
[JsonSerializable(typeof(TargetSettings))]
sealed partial class SettingsJson : JsonSerializerContext;
