using System;
using System.Collections.Generic;
using System.Globalization;
using System.IO;
using System.Net.Sockets;
using System.Threading;
using System.Threading.Tasks;
using Blanket.Lab.Bundles;
using Blanket.Lab.Configuration;
using Blanket.Lab.Hosting;

namespace Blanket.Lab.Instances;

/// <summary>What a machine has for guests whose consoles share a line, as on Xen: consoles, which the process that runs it makes (<see cref="AddedConsoles"/>).</summary>
/// <param name="instance">The running instance.</param>
public sealed class LineParts(Instance instance) : GuestParts
{
    /// <inheritdoc/>
    public override async Task<PlannedGuest> AddAsync(PlannedGuest guest, CancellationToken cancellation)
    {
        if (guest.Disks.Count > 0)
        {
            throw new InputException(guest.Disks[0].Specification.Source, "the instance's provider offers no disks for guests of later, expected none");
        }

        string name = guest.Configuration.Name;
        string answer = await AskAsync($"{AddedConsoles.Add} {name}", cancellation).ConfigureAwait(false);
        return uint.TryParse(answer, NumberStyles.None, CultureInfo.InvariantCulture, out uint port)
            ? guest with { ConsolePort = port }
            : throw new HostException($"{name} gets no console: {answer}");
    }

    /// <inheritdoc/>
    public override Task RemoveOthersAsync(IReadOnlyCollection<string> guests, CancellationToken cancellation) =>
        AskAsync($"{AddedConsoles.Keep} {string.Join(' ', guests)}", cancellation);

    /// <inheritdoc/>
    public override void Dispose()
    {
    }

    private async Task<string> AskAsync(string request, CancellationToken cancellation)
    {
        try
        {
            await using NetworkStream line = await SocketClient.ConnectAsync(instance.ConsolesSocket, cancellation).ConfigureAwait(false);
            await using StreamWriter writer = new(line) { AutoFlush = true };
            await writer.WriteLineAsync(request.AsMemory(), cancellation).ConfigureAwait(false);
            using StreamReader reader = new(line);
            return await reader.ReadLineAsync(cancellation).ConfigureAwait(false) ?? throw new IOException("no answer");
        }
        catch (Exception e) when (e is SocketException or IOException)
        {
            throw new HostException($"instance {instance.Name} makes no consoles: {e.Message}");
        }
    }
}
