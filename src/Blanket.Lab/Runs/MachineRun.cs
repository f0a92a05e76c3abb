using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Net.Sockets;
using System.Threading;
using System.Threading.Tasks;
using Blanket.Lab.Hosting;
using Blanket.Lab.Qemu;

namespace Blanket.Lab.Runs;

/// <summary>Lets a machine run to its end: drains every line into its sink and follows the events in the log.</summary>
public sealed class MachineRun
{
    /// <summary>A machine that prints a panic's stack is given this long.</summary>
    private static readonly TimeSpan PanicGrace = TimeSpan.FromSeconds(5);

    /// <summary>A machine whose guests are done is given this long to power off, and its L0 to say so: a busy host can take its time.</summary>
    private static readonly TimeSpan PowerOffGrace = TimeSpan.FromSeconds(60);

    private const int BufferSize = 16 << 10;

    /// <summary>QEMU's exit status when it does not like its arguments or cannot open a file.</summary>
    private const int QemuFailure = 1;

    private readonly IL0Machine _machine;
    private readonly Func<string, IReadOnlyList<RunEvent>> _parse;
    private readonly Action<RunEvent> _onEvent;
    private readonly TaskCompletionSource _over = new(TaskCreationOptions.RunContinuationsAsynchronously);

    private bool _hasLogged;

    /// <summary>A run of a started machine.</summary>
    /// <param name="machine">The machine; the caller disposes of it.</param>
    /// <param name="parse">The events that a line of the log tells.</param>
    /// <param name="onEvent">Called for each event of the log.</param>
    public MachineRun(IL0Machine machine, Func<string, IReadOnlyList<RunEvent>> parse, Action<RunEvent> onEvent)
    {
        _machine = machine;
        _parse = parse;
        _onEvent = onEvent;
    }

    /// <summary>What is known so far.</summary>
    public RunState State { get; } = new();

    /// <summary>Runs until the machine ends, the run is over or the time is.</summary>
    /// <param name="log">Takes the log.</param>
    /// <param name="consoles">Take the console ports; a port without a sink is read and forgotten, because a full line stalls its guest.</param>
    /// <param name="timeout">Null for no limit.</param>
    /// <param name="cancellation">Ends the run as the user's wish.</param>
    /// <exception cref="OperationCanceledException">The user ended the run.</exception>
    /// <exception cref="HostException">QEMU or L0 could not run the machine at all.</exception>
    public async Task<RunOutcome> CompleteAsync(
        IConsoleSink log, IReadOnlyDictionary<uint, IConsoleSink?> consoles, TimeSpan? timeout, CancellationToken cancellation)
    {
        Task[] pumps = [PumpLogAsync(log), .. consoles.Select(pair => PumpAsync(_machine.Console(pair.Key), pair.Value))];
        Task time = Task.Delay(timeout ?? Timeout.InfiniteTimeSpan, cancellation);
        Task first = await Task.WhenAny(_machine.Exited, _over.Task, time).ConfigureAwait(false);
        if (first == time && !cancellation.IsCancellationRequested)
        {
            State.TimeIsOver();
        }
        else if (first == _over.Task)
        {
            TimeSpan grace = State.AllGuestsDone ? PowerOffGrace : PanicGrace;
            await Task.WhenAny(_machine.Exited, Task.Delay(grace, cancellation)).ConfigureAwait(false);
        }

        _machine.Kill();
        int status = await _machine.Exited.ConfigureAwait(false);
        await Task.WhenAll(pumps).ConfigureAwait(false);
        State.MachineEnded();
        if (_machine.Failure is string failure)
        {
            throw new HostException(failure);
        }

        if (status == QemuFailure && !_hasLogged)
        {
            throw new HostException($"QEMU ended with status {status}: {_machine.Diagnostics.Trim()}");
        }

        cancellation.ThrowIfCancellationRequested();
        return State.Outcome;
    }

    /// <summary>Copies a line of the machine until its end.</summary>
    private static async Task PumpAsync(Stream source, IConsoleSink? sink, Action<ReadOnlyMemory<byte>>? also = null)
    {
        byte[] buffer = new byte[BufferSize];
        for (int count = await ReadAsync(source, buffer).ConfigureAwait(false); count > 0; count = await ReadAsync(source, buffer).ConfigureAwait(false))
        {
            also?.Invoke(buffer.AsMemory(0, count));
            if (sink is not null)
            {
                await sink.WriteAsync(buffer.AsMemory(0, count)).ConfigureAwait(false);
            }
        }
    }

    /// <summary>Reads; a connection that a killed QEMU reset has ended like any other.</summary>
    private static async Task<int> ReadAsync(Stream source, byte[] buffer)
    {
        try
        {
            return await source.ReadAsync(buffer).ConfigureAwait(false);
        }
        catch (IOException e) when (e.InnerException is SocketException)
        {
            return 0;
        }
    }

    private async Task PumpLogAsync(IConsoleSink sink)
    {
        LineSplitter lines = new();
        await PumpAsync(_machine.Log, sink, bytes => Follow(lines.Add(bytes.Span))).ConfigureAwait(false);
        if (lines.Rest() is string rest)
        {
            Follow([rest]);
        }
    }

    private void Follow(IReadOnlyList<string> lines)
    {
        _hasLogged = true;
        foreach (RunEvent happening in lines.SelectMany(_parse))
        {
            State.Apply(happening);
            _onEvent(happening);
        }

        if (State.IsOver)
        {
            _over.TrySetResult();
        }
    }
}
