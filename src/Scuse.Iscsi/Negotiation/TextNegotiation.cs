using System.Text;

namespace Scuse.Iscsi.Negotiation;

/// <summary>Answers an initiator's keys from <see cref="KeyTable"/> and keeps the results. RFC 7143 section 6.2.</summary>
internal sealed class TextNegotiation(IscsiOptions options, SessionParameters parameters)
{
    readonly HashSet<string> _negotiated = new(StringComparer.Ordinal);

    /// <summary>What comes of it.</summary>
    public SessionParameters Parameters => parameters;

    /// <summary>Whether it is a session's first connection, which alone may settle what holds for the whole session. RFC 7143 section 13, "LO".</summary>
    public bool IsLeading { get; set; } = true;

    /// <summary>
    /// Answers all pairs of one step into <paramref name="reply"/>. Returns null, or what makes the step a protocol error.
    /// Keys of kind <see cref="KeyKind.Request"/> are left to the caller.
    /// </summary>
    public string? Answer(List<KeyValuePair<string, string>> pairs, KeyPhases phase, StringBuilder reply)
    {
        HashSet<string> seen = new(StringComparer.Ordinal);
        foreach ((string key, _) in pairs)
        {
            if (!seen.Add(key))
            {
                return $"key {key} comes twice";
            }
        }

        string? problem = null;

        // FirstBurstLength depends on three others, which may stand behind it: it goes last.
        foreach ((string key, string value) in pairs)
        {
            if (key != KeyTable.FirstBurstLength)
            {
                problem ??= AnswerOne(key, value, phase, reply);
            }
        }

        foreach ((string key, string value) in pairs)
        {
            if (key == KeyTable.FirstBurstLength)
            {
                problem ??= AnswerOne(key, value, phase, reply);
            }
        }

        // RFC 7143 section 13.14: never above MaxBurstLength, whatever the defaults are.
        parameters.FirstBurstLength = Math.Min(parameters.FirstBurstLength, parameters.MaxBurstLength);
        return problem;
    }

    string? AnswerOne(string key, string value, KeyPhases phase, StringBuilder reply)
    {
        if (KeyTable.Find(key) is not { } definition)
        {
            TextPairs.Append(reply, key, KeyResult.NotUnderstood);
            return null;
        }

        if (value is KeyResult.NotUnderstood or KeyResult.Irrelevant or KeyResult.Reject && definition.Kind != KeyKind.TextDeclaration)
        {
            return null; // an answer to a declaration of ours
        }

        if (!definition.FromInitiator || (definition.Phases & phase) == 0)
        {
            TextPairs.Append(reply, key, KeyResult.Reject);
            return null;
        }

        if (definition.Kind == KeyKind.Request)
        {
            return null;
        }

        if (!definition.MayRepeat && phase != KeyPhases.FullFeature && !_negotiated.Add(key))
        {
            return $"key {key} is negotiated a second time";
        }

        KeyResult result = IsIrrelevant(definition) ? new KeyResult(KeyResult.Irrelevant, false) : definition.Resolve(value, options);
        if (result.Applies && key == KeyTable.FirstBurstLength && result.Number > parameters.MaxBurstLength)
        {
            uint limit = (uint)parameters.MaxBurstLength;
            result = result with { Number = limit, Answer = limit.ToString(System.Globalization.CultureInfo.InvariantCulture) };
        }

        if (result.Applies)
        {
            definition.Apply(parameters, result);
        }

        if (result.Answer is { } answer)
        {
            TextPairs.Append(reply, key, answer);
        }

        return null;
    }

    bool IsIrrelevant(KeyDefinition definition) =>
        (definition.IrrelevantInDiscovery && parameters.IsDiscovery)
        || (definition.IsLeadingOnly && !IsLeading)
        || (definition.Name == KeyTable.FirstBurstLength && parameters.InitialR2T && !parameters.ImmediateData);
}
