using System;
using Blanket.Abi;
using Blanket.Core.Management;
using Blanket.Drivers;
using Blanket.Kernel.Guests;
using Blanket.Machine;

namespace Blanket.Kernel.Management;

/// <summary>
/// The management protocol on a console port: one request at a time comes in, its answer goes out as the port has room. Requests
/// are handled where guests are (<see cref="GuestManager"/>); bytes that come while one is being handled are dropped.
/// </summary>
internal sealed class ManagementChannel : ConsoleClient
{
    private const int StageSize = 512;

    private readonly ConsolePort _port;
    private readonly MessageDecoder _decoder = new();
    private readonly MessageEncoder _encoder = new();
    private readonly byte[] _stage = new byte[StageSize];
    private int _staged;
    private int _sent;
    private SpinLock _lock = new(LockClass.Backend);

    internal ManagementChannel(ConsolePort port)
    {
        _port = port;
        port.Client = this;
    }

    /// <summary>Where the answer's payload is to be written.</summary>
    internal Span<byte> Answer => _encoder.Payload;

    /// <summary>The request's payload.</summary>
    internal ReadOnlySpan<byte> Request => _decoder.Payload;

    /// <inheritdoc/>
    public override void Received(ReadOnlySpan<byte> bytes)
    {
        _lock.Acquire();
        _decoder.Take(bytes);
        bool hasMessage = _decoder.HasMessage;
        _lock.Release();
        if (hasMessage)
        {
            GuestManager.Wake();
        }
    }

    /// <inheritdoc/>
    public override void RoomAvailable()
    {
        _lock.Acquire();
        Pump();
        _lock.Release();
        GuestManager.Wake();
    }

    /// <summary>Whether there is a request and nothing of the last answer is left to send.</summary>
    internal bool TryTake(out ManagementHeader request)
    {
        _lock.Acquire();
        bool found = _decoder.HasMessage && !_encoder.IsBusy && _staged == _sent;
        request = found ? _decoder.Header : default;
        _lock.Release();
        return found;
    }

    /// <summary>Answers the request that was taken and lets the next one in.</summary>
    internal void Reply(in ManagementHeader request, int status, int length)
    {
        _lock.Acquire();
        _encoder.Begin(request.Command, request.Tag, status, length);
        _decoder.Release();
        Pump();
        _lock.Release();
    }

    private void Pump()
    {
        while (true)
        {
            if (_sent == _staged)
            {
                _sent = 0;
                _staged = _encoder.Next(_stage);
                if (_staged == 0)
                {
                    return;
                }
            }

            int count = _port.Send(new ReadOnlySpan<byte>(_stage, _sent, _staged - _sent));
            _sent += count;
            if (_sent != _staged)
            {
                return;
            }
        }
    }
}
