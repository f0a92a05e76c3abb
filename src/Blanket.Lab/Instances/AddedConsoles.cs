using System;
using System.Collections.Generic;
using System.Globalization;
using System.IO;
using System.Linq;
using System.Net.Sockets;
using System.Runtime.CompilerServices;
using System.Threading.Tasks;
using Blanket.Lab.Configuration;
using Blanket.Lab.Hosting;
using Blanket.Lab.Runs;

namespace Blanket.Lab.Instances;

/// <summary>
/// Makes consoles for guests that are added to a machine whose consoles share a line; in the process that runs the machine, as commands ask by
/// <see cref="LineParts"/>: a line for each request, and one that answers. Each console has a port that none had before, so what is under way
/// from or to a guest that is gone reaches nobody else.
/// </summary>
public sealed class AddedConsoles : IDisposable
{
    /// <summary>The request for a console: the guest's name follows, the port's number is the answer, or why there is none.</summary>
    internal const string Add = "add";

    /// <summary>The request to close the consoles of all guests that are gone: the names of those that are there follow.</summary>
    internal const string Keep = "keep";

    /// <summary>Ports up to here are used, then the first ones again.</summary>
    private const uint LastPort = Abi.Management.SharedLinePort - 1;

    private readonly ConsoleServers _servers;
    private readonly IConsoleLine _line;
    private readonly uint _firstPort;
    private readonly Func<string, IConsoleSink?> _createSink;
    private readonly Dictionary<string, (uint Port, IConsoleSink? Sink)> _consoles = new(StringComparer.Ordinal);
    private readonly SocketServer _server;
    private uint _nextPort;

    /// <summary>Listens.</summary>
    /// <param name="instance">The instance that this process runs.</param>
    /// <param name="servers">Its consoles.</param>
    /// <param name="line">The line.</param>
    /// <param name="firstPort">The first port of the line that no guest has from the start.</param>
    /// <param name="createSink">Where the output of a guest of a name goes besides; the same for the same name. Null for nowhere.</param>
    public AddedConsoles(Instance instance, ConsoleServers servers, IConsoleLine line, uint firstPort, Func<string, IConsoleSink?> createSink)
    {
        _servers = servers;
        _line = line;
        _firstPort = _nextPort = firstPort;
        _createSink = createSink;
        _server = new SocketServer(instance.ConsolesSocket, ServeAsync);
    }

    /// <inheritdoc/>
    public void Dispose() => _server.Dispose();

    private async Task ServeAsync(NetworkStream connection)
    {
        await using ConfiguredAsyncDisposable open = connection.ConfigureAwait(false);
        try
        {
            using StreamReader reader = new(connection, leaveOpen: true);
            await using StreamWriter writer = new(connection, leaveOpen: true);
            string request = await reader.ReadLineAsync().ConfigureAwait(false) ?? string.Empty;
            await writer.WriteLineAsync(Answer(request.Split(' ', StringSplitOptions.RemoveEmptyEntries))).ConfigureAwait(false);
        }
        catch (IOException)
        {
            // Whoever asked does not wait for the answer.
        }
    }

    private string Answer(string[] words)
    {
        if (words is [Add, string name] && GuestName.IsValid(name))
        {
            return AddConsole(name);
        }

        if (words is [Keep, ..])
        {
            foreach (string gone in _consoles.Keys.Except(words[1..]).ToArray())
            {
                Close(gone);
            }

            return string.Empty;
        }

        return "not understood";
    }

    private string AddConsole(string guest)
    {
        try
        {
            Close(guest);
            IConsoleSink? sink = _createSink(guest);
            uint port = TakePort();
            _line.Connect(port, _servers.Share(guest, sink, _line.Keys(port)));
            _consoles.Add(guest, (port, sink));
            return port.ToString(CultureInfo.InvariantCulture);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or SocketException or InputException)
        {
            return e.Message;
        }
    }

    private uint TakePort()
    {
        uint port = _nextPort;
        while (_consoles.Values.Any(console => console.Port == port))
        {
            port = After(port);
        }

        _nextPort = After(port);
        return port;
    }

    private uint After(uint port) => port < LastPort ? port + 1 : _firstPort;

    /// <summary>Closes a console. What the guest said last and what is still on the line goes where the rest went.</summary>
    private void Close(string guest)
    {
        if (_consoles.Remove(guest, out (uint Port, IConsoleSink? Sink) console))
        {
            _servers.Remove(guest);
            _line.Connect(console.Port, console.Sink);
        }
    }
}
