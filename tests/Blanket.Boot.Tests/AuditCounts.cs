using System;
using System.Linq;
using System.Text.Json.Nodes;
using Blanket.Abi;

namespace Blanket.Boot.Tests;

/// <summary>Counts of what guests could leave behind, to be compared while there are none.</summary>
internal sealed class AuditCounts
{
    private readonly string _text;

    /// <summary>The counts of <c>audit --json</c>.</summary>
    internal AuditCounts(JsonObject counts)
    {
        long Of(string name) => counts[name]!.GetValue<long>();

        // Tables keep the frames that they once needed.
        string[] compared = [.. counts.Select(pair => pair.Key).Where(name => name is not ("frames" or "free" or "tables"))];
        _text = $"held={Of("frames") - Of("free") - Of("tables")} " + string.Join(' ', compared.Select(name => $"{name}={Of(name)}"));
    }

    /// <summary>The counts of a management request.</summary>
    internal AuditCounts(ManagementAudit audit) =>
        _text = FormattableString.Invariant(
            $"held={audit.Frames - audit.FreeFrames - audit.TableFrames} arenas={audit.ArenaFrames} guests={audit.Guests} guest_frames={audit.GuestFrames} devices={audit.Devices} channels={audit.EventChannels} service_channels={audit.ServiceChannels} grants={audit.Grants} nodes={audit.StoreNodes} watches={audit.StoreWatches} connections={audit.StoreConnections} transactions={audit.StoreTransactions}");

    /// <inheritdoc/>
    public override string ToString() => _text;
}
