using System;
using System.Buffers.Binary;
using System.Collections.Generic;
using System.IO;
using System.Net.Sockets;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Text;
using System.Threading;
using System.Threading.Tasks;
using Blanket.Abi;
using Blanket.Abi.Xen;
using Blanket.Core.Management;
using Blanket.Lab.Configuration;
using Blanket.Lab.Hosting;

namespace Blanket.Lab.Instances;

/// <summary>The asker's side of the management protocol (docs/management.md). Requests are made one after the other.</summary>
public sealed class ManagementClient : IDisposable
{
    /// <summary>Bytes of a bundle in one message, behind their offset.</summary>
    private const int ChunkSize = Management.MaximumPayload - sizeof(ulong);

    private const int BufferSize = 16 << 10;

    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    private readonly Stream _line;
    private readonly IDisposable? _turn;
    private readonly MessageDecoder _decoder = new();
    private readonly MessageEncoder _encoder = new();
    private readonly byte[] _incoming = new byte[BufferSize];
    private readonly byte[] _outgoing = new byte[2 * (ManagementHeader.Size + Management.MaximumPayload + 1)];
    private int _received;
    private int _taken;
    private uint _tag = (uint)Random.Shared.Next();

    /// <summary>Speaks over a connected line, which it owns.</summary>
    public ManagementClient(Stream line)
        : this(line, null)
    {
    }

    private ManagementClient(Stream line, IDisposable? turn)
    {
        _line = line;
        _turn = turn;
    }

    /// <summary>Connects to a running instance and has its turn until disposal.</summary>
    /// <param name="instance">The instance.</param>
    /// <param name="waits">Called once when somebody else talks to it.</param>
    /// <param name="cancellation">Stops the wait.</param>
    /// <exception cref="HostException">It does not listen.</exception>
    public static async Task<ManagementClient> ConnectAsync(Instance instance, Action waits, CancellationToken cancellation)
    {
        IDisposable turn = await instance.TakeTurnAsync(waits, cancellation).ConfigureAwait(false);
        try
        {
            return new ManagementClient(await SocketClient.ConnectAsync(instance.ManagementSocket, cancellation).ConfigureAwait(false), turn);
        }
        catch (Exception e) when (e is SocketException or OperationCanceledException)
        {
            turn.Dispose();
            if (e is SocketException)
            {
                throw new HostException($"instance {instance.Name} does not listen: {e.Message}");
            }

            throw;
        }
    }

    /// <summary>The hypervisor as a whole.</summary>
    public async Task<ManagementInstance> DescribeAsync(CancellationToken cancellation) =>
        Single<ManagementInstance>(await AskAsync(ManagementCommand.Describe, ReadOnlyMemory<byte>.Empty, cancellation).ConfigureAwait(false));

    /// <summary>Counts of what guests could leave behind.</summary>
    public async Task<ManagementAudit> AuditAsync(CancellationToken cancellation) =>
        Single<ManagementAudit>(await AskAsync(ManagementCommand.Audit, ReadOnlyMemory<byte>.Empty, cancellation).ConfigureAwait(false));

    /// <summary>The guests that have a domain.</summary>
    public async Task<IReadOnlyList<ManagementGuest>> ListAsync(CancellationToken cancellation) =>
        Several<ManagementGuest>(await AskAsync(ManagementCommand.List, ReadOnlyMemory<byte>.Empty, cancellation).ConfigureAwait(false));

    /// <summary>Counters of a guest's devices.</summary>
    public async Task<IReadOnlyList<ManagementDevice>> DevicesAsync(string guest, CancellationToken cancellation) =>
        Several<ManagementDevice>(await AskAsync(ManagementCommand.Devices, Target(guest, 0), cancellation).ConfigureAwait(false));

    /// <summary>Does something to a guest.</summary>
    /// <exception cref="ManagementException">It was refused.</exception>
    public Task ChangeAsync(ManagementCommand command, string guest, ulong value, CancellationToken cancellation) =>
        AskAsync(command, Target(guest, value), cancellation);

    /// <summary>Changes the CPUs that a vCPU of a guest may run on; all vCPUs' with <see cref="ManagementPin.AllVcpus"/>.</summary>
    public Task PinAsync(string guest, ulong vcpu, CpuSet cpus, CancellationToken cancellation)
    {
        RequireName(guest);
        ManagementPin pin = new() { Vcpu = vcpu, Cpus = cpus.ToRecord() };
        Encoding.ASCII.GetBytes(guest, pin.Name);
        return AskAsync(ManagementCommand.PinVcpu, MemoryMarshal.AsBytes(new ReadOnlySpan<ManagementPin>(in pin)).ToArray(), cancellation);
    }

    /// <summary>Changes what is done when something needs more memory than is free.</summary>
    public Task SetMemoryPolicyAsync(ManagementMemoryPolicy policy, CancellationToken cancellation) =>
        AskAsync(ManagementCommand.SetMemoryPolicy, Number((ulong)policy), cancellation);

    /// <summary>Ends all guests at once and lets the machine power off; it may do so before it has answered, which is a <see cref="HostException"/>.</summary>
    public Task ShutDownAsync(CancellationToken cancellation) => AskAsync(ManagementCommand.Shutdown, ReadOnlyMemory<byte>.Empty, cancellation);

    /// <summary>Lets keys show something in the log.</summary>
    public Task DebugKeysAsync(string keys, CancellationToken cancellation) =>
        AskAsync(ManagementCommand.DebugKeys, Encoding.ASCII.GetBytes(keys), cancellation);

    /// <summary>What was logged from a position on.</summary>
    /// <returns>The position of the first byte, the position behind the log's end, and text; it may not reach the end.</returns>
    public async Task<(ulong Start, ulong End, byte[] Text)> LogAsync(ulong position, CancellationToken cancellation)
    {
        byte[] answer = await AskAsync(ManagementCommand.Log, Number(position), cancellation).ConfigureAwait(false);
        int size = Unsafe.SizeOf<ManagementLogPart>();
        if (answer.Length < size)
        {
            throw Nonsense();
        }

        ManagementLogPart part = MemoryMarshal.Read<ManagementLogPart>(answer);
        return (part.Start, part.End, answer[size..]);
    }

    /// <summary>Sends a boot bundle with one guest and has it started; the list tells what becomes of it.</summary>
    /// <exception cref="ManagementException">It was refused.</exception>
    public async Task StartAsync(ReadOnlyMemory<byte> bundle, CancellationToken cancellation)
    {
        await SendAsync(bundle, cancellation).ConfigureAwait(false);
        await StartSentAsync(cancellation).ConfigureAwait(false);
    }

    /// <summary>Sends a boot bundle with one guest.</summary>
    /// <exception cref="ManagementException">There is no memory for it.</exception>
    public async Task SendAsync(ReadOnlyMemory<byte> bundle, CancellationToken cancellation)
    {
        await AskAsync(ManagementCommand.BundleBegin, Number((ulong)bundle.Length), cancellation).ConfigureAwait(false);
        try
        {
            byte[] chunk = new byte[sizeof(ulong) + ChunkSize];
            for (int offset = 0; offset < bundle.Length; offset += ChunkSize)
            {
                int length = Math.Min(ChunkSize, bundle.Length - offset);
                BinaryPrimitives.WriteUInt64LittleEndian(chunk, (ulong)offset);
                bundle.Slice(offset, length).CopyTo(chunk.AsMemory(sizeof(ulong)));
                await AskAsync(ManagementCommand.BundleData, chunk.AsMemory(0, sizeof(ulong) + length), cancellation).ConfigureAwait(false);
            }
        }
        catch (OperationCanceledException)
        {
            // Its memory is not kept for a start that does not come.
            await AskAsync(ManagementCommand.BundleBegin, Number(0), CancellationToken.None).ConfigureAwait(false);
            throw;
        }
    }

    /// <summary>Has the guest of the bundle that was sent started; the list tells what becomes of it.</summary>
    /// <exception cref="ManagementException">It was refused.</exception>
    public Task StartSentAsync(CancellationToken cancellation) => AskAsync(ManagementCommand.BundleStart, ReadOnlyMemory<byte>.Empty, cancellation);

    /// <summary>Whether a guest is on its way: it waits, or is being built.</summary>
    public static bool IsComing(in ManagementGuest guest) => guest.State is ManagementGuestState.Waiting or ManagementGuestState.Starting;

    /// <summary>A guest's name in a record.</summary>
    public static string NameOf(BootBundleName name)
    {
        ReadOnlySpan<byte> bytes = name;
        int end = bytes.IndexOf((byte)0);
        return Encoding.ASCII.GetString(end < 0 ? bytes : bytes[..end]);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _line.Dispose();
        _turn?.Dispose();
    }

    private static byte[] Target(string guest, ulong value)
    {
        RequireName(guest);
        ManagementTarget target = new() { Value = value };
        Encoding.ASCII.GetBytes(guest, target.Name);
        return MemoryMarshal.AsBytes(new ReadOnlySpan<ManagementTarget>(in target)).ToArray();
    }

    private static void RequireName(string guest)
    {
        if (!GuestName.IsValid(guest))
        {
            throw new InputException($"{guest} is no name of a guest");
        }
    }

    private static byte[] Number(ulong value)
    {
        byte[] bytes = new byte[sizeof(ulong)];
        BinaryPrimitives.WriteUInt64LittleEndian(bytes, value);
        return bytes;
    }

    private static T Single<T>(byte[] answer)
        where T : struct =>
        answer.Length == Unsafe.SizeOf<T>() ? MemoryMarshal.Read<T>(answer) : throw Nonsense();

    private static T[] Several<T>(byte[] answer)
        where T : struct =>
        answer.Length % Unsafe.SizeOf<T>() == 0 ? MemoryMarshal.Cast<byte, T>(answer).ToArray() : throw Nonsense();

    private static HostException Nonsense() => new("Blanket's answer has another length than expected; is it of another version?");

    private static string Describe(int status) => -status switch
    {
        Errno.ESRCH => "there is no such guest",
        Errno.EAGAIN => "the start of a guest waits for memory",
        Errno.EBUSY => "the guest is not running",
        Errno.EEXIST => "that is so already",
        Errno.EINVAL => "the request does not fit",
        Errno.ENOMEM => "there is not enough memory",
        Errno.ENOSPC => "there are too many",
        Errno.ENOSYS => "Blanket does not know how",
        Errno.ENOEXEC => "the guest could not be started",
        _ => FormattableString.Invariant($"error {status}"),
    };

    private async Task<byte[]> AskAsync(ManagementCommand command, ReadOnlyMemory<byte> payload, CancellationToken cancellation)
    {
        using CancellationTokenSource limit = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        limit.CancelAfter(Patience);
        try
        {
            uint tag = unchecked(++_tag);
            payload.Span.CopyTo(_encoder.Payload);
            _encoder.Begin(command, tag, 0, payload.Length);
            int length = _encoder.Next(_outgoing);
            await _line.WriteAsync(_outgoing.AsMemory(0, length), limit.Token).ConfigureAwait(false);
            while (true)
            {
                await ReceiveAsync(limit.Token).ConfigureAwait(false);
                ManagementHeader header = _decoder.Header;
                byte[] answer = _decoder.Payload.ToArray();
                _decoder.Release();

                // An answer to somebody who did not wait for it has another tag.
                if (header.Tag == tag && header.Command == command)
                {
                    return header.Status == 0 ? answer : throw new ManagementException(header.Status, Describe(header.Status));
                }
            }
        }
        catch (OperationCanceledException) when (!cancellation.IsCancellationRequested)
        {
            throw new HostException($"no answer from Blanket within {Patience.TotalSeconds} s");
        }
        catch (IOException e)
        {
            throw new HostException($"Blanket is gone: {e.Message}");
        }
    }

    private async Task ReceiveAsync(CancellationToken cancellation)
    {
        while (!_decoder.HasMessage)
        {
            if (_taken == _received)
            {
                _taken = 0;
                _received = await _line.ReadAsync(_incoming, cancellation).ConfigureAwait(false);
                if (_received == 0)
                {
                    throw new HostException("Blanket is gone");
                }
            }

            _taken += _decoder.Take(_incoming.AsSpan(_taken, _received - _taken));
        }
    }
}
