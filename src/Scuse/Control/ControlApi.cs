using System.Globalization;
using System.Net;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Scuse.Cli.Configuration;
using Scuse.Cli.Serving;
using Scuse.Engine;
using Scuse.Engine.Backstores;
using Scuse.Engine.Management;

namespace Scuse.Cli.Control;

/// <summary>The resources of the control interface. docs/control.md.</summary>
static class ControlApi
{
    /// <summary>How long the whole region is, in the answer to a request for its bytes; those left out at the end are zero.</summary>
    public const string RegionLengthHeader = "Scuse-Region-Length";

    const string ProblemType = "application/problem+json";
    const int CopyBytes = 256 << 10;

    public static void Map(WebApplication application, EngineManagement management, LiveConfiguration configuration, string controlSocket)
    {
        application.Use(static next => context => AnswerAsync(next, context));
        application.MapGet("/status", Get(ControlJson.Default.EngineStatus, async context => await management.GetStatusAsync(context.RequestAborted) with { ControlSocket = controlSocket }));
        application.MapGet("/luns", Get(ControlJson.Default.IReadOnlyListLunStatus, context => management.GetLunsAsync(null, context.RequestAborted)));
        application.MapGet("/targets/{target}/luns", Get(ControlJson.Default.IReadOnlyListLunStatus, context => management.GetLunsAsync(Target(context), context.RequestAborted)));
        foreach (string lun in (string[])["/luns/{lun}", "/targets/{target}/luns/{lun}"])
        {
            MapLun(application, lun, management);
        }

        application.MapGet("/targets", Get(ControlJson.Default.IReadOnlyListTargetStatus, context => management.GetTargetsAsync(context.RequestAborted)));
        application.MapGet("/targets/{target}", Get(ControlJson.Default.TargetStatus, context => management.GetTargetAsync(Target(context)!, context.RequestAborted)));
        application.MapGet("/portals", Get(ControlJson.Default.IReadOnlyListPortalStatus, context => management.GetPortalsAsync(context.RequestAborted)));
        application.MapGet("/sessions", Get(ControlJson.Default.IReadOnlyListSessionStatus, context => management.GetSessionsAsync(context.RequestAborted)));
        application.MapGet("/latency", Get(ControlJson.Default.IReadOnlyListStageLatency, context => management.GetLatencyAsync(null, context.RequestAborted)));
        application.MapGet("/events", Get(ControlJson.Default.IReadOnlyListLunEventStatus, context => management.GetEventsAsync(null, context.RequestAborted)));

        // What an operator has begun is done to its end, also when he hangs up.
        application.MapPost("/targets", Get(ControlJson.Default.TargetStatus, context => AddTargetAsync(context, configuration)));
        application.MapDelete("/targets/{target}", Get(ControlJson.Default.RemovedTarget, context => management.RemoveTargetAsync(Target(context)!, Flag(context, "force"))));
        application.MapPost("/reload", Get(ControlJson.Default.Reconfiguration, context => configuration.ReloadAsync(Flag(context, "force"))));
        application.MapPost("/access/reload", Get(ControlJson.Default.AccessStatus, context => management.ReloadAccessAsync()));
        application.MapPost("/redirect", Get(ControlJson.Default.IReadOnlyListMovingStatus, context => RedirectAsync(context, management)));
        application.MapDelete("/redirect", Get(ControlJson.Default.IReadOnlyListMovingStatus, context => management.RedirectAsync(null, Named(context, "target"))));
        application.MapPost("/drain", Get(ControlJson.Default.IReadOnlyListMovingStatus, context => DrainAsync(context, management)));
        application.MapDelete("/drain", Get(ControlJson.Default.IReadOnlyListMovingStatus, context => management.EndDrainAsync(Named(context, "target"))));
        application.MapPost("/portals", Get(ControlJson.Default.PortalStatus, context => AddPortalAsync(context, management)));
        application.MapDelete("/portals/{portal}", Get(ControlJson.Default.PortalStatus, context => management.RemovePortalAsync(PortalIn(context), Flag(context, "close"))));
        application.MapFallback("{*path}", static context => throw new ManagementException(ManagementProblem.NotFound, $"there is no {context.Request.Method} {context.Request.Path}"));
    }

    /// <summary>A logical unit, of the first target or of one by its name.</summary>
    static void MapLun(WebApplication application, string lun, EngineManagement management)
    {
        application.MapGet(lun, Get(ControlJson.Default.LunStatus, context => management.GetLunAsync(Lun(context), context.RequestAborted)));
        application.MapGet($"{lun}/events", Get(ControlJson.Default.IReadOnlyListLunEventStatus, context => management.GetEventsAsync(Lun(context), context.RequestAborted)));
        application.MapGet($"{lun}/latency", Get(ControlJson.Default.IReadOnlyListStageLatency, context => management.GetLatencyAsync(Lun(context), context.RequestAborted)));
        application.MapGet($"{lun}/ring", Get(ControlJson.Default.RingStatus, context => management.GetRingAsync(Lun(context), RingNumber(context), context.RequestAborted)));
        application.MapGet($"{lun}/region", context => SendRegionAsync(context, management));
        application.MapPost($"{lun}/block", Get(ControlJson.Default.OperationOutcome, context => management.BlockAsync(Lun(context))));
        application.MapPost($"{lun}/unblock", Get(ControlJson.Default.OperationOutcome, context => management.UnblockAsync(Lun(context))));
        application.MapPost($"{lun}/reset", Get(ControlJson.Default.OperationOutcome, context => management.ResetRingAsync(Lun(context), How(context))));
        application.MapPost($"{lun}/replace", Get(ControlJson.Default.ReplacementResult, context => ReplaceAsync(context, management)));
    }

    /// <summary>The body says with what, and may be left out.</summary>
    static async Task<ReplacementResult> ReplaceAsync(HttpContext context, EngineManagement management)
    {
        ReplaceRequest request = await BodyAsync(context, ControlJson.Default.ReplaceRequest) ?? new ReplaceRequest();
        HandlerLaunch? launch = null;
        if (request.Command is { } command)
        {
            IReadOnlyList<string> words = CommandWords.Split(command);
            launch = words.Count > 0 ? new HandlerLaunch(words[0], [.. words.Skip(1)]) : throw new FormatException("the command is empty");
        }

        return await management.ReplaceHandlerAsync(Lun(context), launch, request.Force);
    }

    static async Task<TargetStatus> AddTargetAsync(HttpContext context, LiveConfiguration configuration) =>
        await configuration.AddAsync(await BodyAsync(context, SettingsJson.Default.TargetSettings) ?? throw new FormatException("the body says nothing of the target"));

    static async Task<PortalStatus> AddPortalAsync(HttpContext context, EngineManagement management)
    {
        PortalRequest request = await BodyAsync(context, ControlJson.Default.PortalRequest) ?? new PortalRequest();
        return await management.AddPortalAsync(PortalSpec.Parse(request.Portal), CancellationToken.None);
    }

    static async Task<IReadOnlyList<MovingStatus>> RedirectAsync(HttpContext context, EngineManagement management)
    {
        RedirectRequest request = await BodyAsync(context, ControlJson.Default.RedirectRequest) ?? new RedirectRequest();
        return await management.RedirectAsync(RedirectionSpec.Parse(request.Address, request.Permanent), request.Target, CancellationToken.None);
    }

    static async Task<IReadOnlyList<MovingStatus>> DrainAsync(HttpContext context, EngineManagement management)
    {
        DrainRequest request = await BodyAsync(context, ControlJson.Default.DrainRequest) ?? new DrainRequest();
        return await management.DrainAsync(RedirectionSpec.CheckSeconds(request.Seconds), request.Target, CancellationToken.None);
    }

    /// <summary>What the body says; null when it is empty.</summary>
    static async Task<T?> BodyAsync<T>(HttpContext context, JsonTypeInfo<T> type)
        where T : class
    {
        using var reader = new StreamReader(context.Request.Body);
        string body = await reader.ReadToEndAsync(context.RequestAborted);
        return string.IsNullOrWhiteSpace(body) ? null : JsonSerializer.Deserialize(body, type);
    }

    static RequestDelegate Get<T>(JsonTypeInfo<T> type, Func<HttpContext, Task<T>> answer) => async context =>
    {
        T value = await answer(context);
        context.Response.ContentType = "application/json";
        await JsonSerializer.SerializeAsync(context.Response.Body, value, type, context.RequestAborted);
        await context.Response.WriteAsync("\n", context.RequestAborted);
    };

    /// <summary>Whatever goes wrong becomes one line with the right status.</summary>
    static async Task AnswerAsync(RequestDelegate next, HttpContext context)
    {
        try
        {
            await next(context);
        }
        catch (OperationCanceledException) when (context.RequestAborted.IsCancellationRequested)
        {
            // Nobody waits for the answer.
        }
        catch (ManagementException exception) when (!context.Response.HasStarted)
        {
            (int status, string title) = exception.Problem switch
            {
                ManagementProblem.NotFound => (StatusCodes.Status404NotFound, "Not found"),
                ManagementProblem.Refused => (StatusCodes.Status409Conflict, "Refused"),
                ManagementProblem.TooLate => (StatusCodes.Status504GatewayTimeout, "Too late"),
                _ => (StatusCodes.Status503ServiceUnavailable, "Not running"),
            };
            await SayAsync(context, status, title, exception.Message);
        }
        catch (Exception exception) when (exception is FormatException or JsonException or BadHttpRequestException && !context.Response.HasStarted)
        {
            await SayAsync(context, StatusCodes.Status400BadRequest, "Bad request", exception.Message);
        }
        catch (EngineException exception) when (!context.Response.HasStarted)
        {
            await SayAsync(context, StatusCodes.Status409Conflict, "Refused", exception.Message);
        }
    }

    static async Task SayAsync(HttpContext context, int status, string title, string detail)
    {
        context.Response.StatusCode = status;
        context.Response.ContentType = ProblemType;
        await JsonSerializer.SerializeAsync(context.Response.Body, new Problem(title, status, detail), ControlJson.Default.Problem, context.RequestAborted);
        await context.Response.WriteAsync("\n", context.RequestAborted);
    }

    static LunReference Lun(HttpContext context)
    {
        string text = context.GetRouteValue("lun") as string ?? "";
        return int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out int lun)
            ? new LunReference(lun, Target(context))
            : throw new FormatException($"'{text}' is not the number of a LUN");
    }

    static string? Target(HttpContext context) => context.GetRouteValue("target") as string;

    static IPEndPoint PortalIn(HttpContext context) => PortalSpec.ParseAddress(context.GetRouteValue("portal") as string ?? "");

    static bool Flag(HttpContext context, string name) => ((string?)context.Request.Query[name]) switch
    {
        null or "" or "false" or "0" => false,
        "true" or "1" => true,
        string other => throw new FormatException($"{name} '{other}' is neither true nor false"),
    };

    static int RingNumber(HttpContext context) => ((string?)context.Request.Query["ring"]) switch
    {
        null or "" => 0,
        string text when int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out int number) => number,
        string other => throw new FormatException($"ring '{other}' is no number"),
    };

    static string? Named(HttpContext context, string name) => ((string?)context.Request.Query[name]) is { Length: > 0 } text ? text : null;

    static RingReset How(HttpContext context) => ((string?)context.Request.Query["how"]) switch
    {
        null or "" or "busy" => RingReset.Busy,
        "fail" => RingReset.Fail,
        string other => throw new FormatException($"how '{other}' is neither busy nor fail"),
    };

    /// <summary>The region's bytes from its start up to the last that may hold anything; without data, up to the data area.</summary>
    static async Task SendRegionAsync(HttpContext context, EngineManagement management)
    {
        bool withData = Flag(context, "data");
        using SavedRegion region = await management.OpenRegionAsync(Lun(context), RingNumber(context), context.RequestAborted);
        long end = withData ? region.UsedBytes : region.RingBytes;
        context.Response.ContentType = "application/octet-stream";
        context.Response.ContentLength = end;
        context.Response.Headers[RegionLengthHeader] = region.RegionBytes.ToString(CultureInfo.InvariantCulture);
        for (long offset = 0; offset < end;)
        {
            int length = (int)Math.Min(CopyBytes, end - offset);
            int read = region.Read(context.Response.BodyWriter.GetSpan(length)[..length], offset);
            context.Response.BodyWriter.Advance(read);
            offset += read;
            await context.Response.BodyWriter.FlushAsync(context.RequestAborted);
        }
    }
}
