using System;
using System.Collections.Generic;
using System.IO;
using System.Threading;
using Blanket.Lab.Runs;

namespace Blanket.Lab.Instances;

/// <summary>The consoles that a run lets other commands use, one for a guest's name.</summary>
/// <param name="instance">The instance that this process runs.</param>
public sealed class ConsoleServers(Instance instance) : IDisposable
{
    private readonly Dictionary<string, ConsoleServer> _servers = new(StringComparer.Ordinal);
    private readonly Lock _lock = new();

    /// <summary>Shares a guest's console, in place of one that a guest of this name had before.</summary>
    /// <param name="guest">The guest's name.</param>
    /// <param name="next">Also gets the output, or null.</param>
    /// <param name="keys">Where keys go.</param>
    /// <returns>Takes the output.</returns>
    public IConsoleSink Share(string guest, IConsoleSink? next, Stream keys)
    {
        lock (_lock)
        {
            Close(guest);
            ConsoleServer server = new(instance.ConsoleSocket(guest), next, keys);
            _servers.Add(guest, server);
            return server;
        }
    }

    /// <summary>Shares a guest's console no more.</summary>
    public void Remove(string guest)
    {
        lock (_lock)
        {
            Close(guest);
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        lock (_lock)
        {
            foreach (ConsoleServer server in _servers.Values)
            {
                server.Dispose();
            }
        }
    }

    private void Close(string guest)
    {
        if (_servers.Remove(guest, out ConsoleServer? server))
        {
            server.Dispose();
            File.Delete(instance.ConsoleSocket(guest));
        }
    }
}
