using System;
using System.Collections.Generic;
using System.Linq;
using Blanket.Abi.Xen.Io;
using Blanket.Drivers;
using Blanket.Machine;
using FsCheck.Xunit;

namespace Blanket.Backends.Tests;

/// <summary>Random requests, honest and hostile, and random ends of them at the device, against a model of the disk.</summary>
public sealed class VbdPropertyTests
{
    private const uint Xvda = 51712;
    private const int Sectors = 512;

    [Property(MaxTest = 30)]
    public void Data_is_right_every_request_is_answered_once_and_nothing_stays_pinned(int seed)
    {
        new Run(seed).Go();
    }

    private sealed class Run
    {
        private readonly Random _random;
        private readonly TestMachine _machine = new(2048);
        private readonly TestGuest _guest;
        private readonly FakeDisk _disk;
        private readonly FakeBlkfront _front;
        private readonly VbdDevice _vbd;
        private readonly byte[] _model = new byte[Sectors * 512];
        private readonly bool[] _busy = new bool[Sectors];
        private readonly Dictionary<ulong, Request> _waiting = new();
        private readonly int _rings;
        private ulong _nextId;
        private int _garbage;

        internal Run(int seed)
        {
            _random = new Random(seed);
            _guest = _machine.CreateGuest(1);
            _rings = _random.Next(1, 3);
            _disk = new FakeDisk(Sectors, _rings) { Capacity = _random.Next(1, 40) };
            _disk.Settings.LogicalBlockSize = 512u << _random.Next(4);
            _disk.Settings.MaximumSegments = (uint)_random.Next(9, 80);
            _disk.Settings.MaximumSegmentSize = 512u << _random.Next(8);
            _disk.Settings.MaximumDiscardSectors = (uint)_random.Next(8, 200);
            bool is32 = _random.Next(3) == 0;
            VbdSettings settings = new() { VirtualDevice = Xvda };
            Assert.Equal(0, VbdDevice.Create(_machine.Bus, _machine.Owner, _guest.Domain, _disk, settings, out VbdDevice? vbd));
            _vbd = vbd!;
            _machine.Settle();
            _front = new FakeBlkfront(_guest, Xvda, is32 ? BlkifLayout.Bits32 : BlkifLayout.Bits64, is32 ? "x86_32-abi" : "x86_64-abi");
            _front.Connect(_rings, _random.Next(3));
        }

        internal void Go()
        {
            for (int step = 0; step < 150; step++)
            {
                switch (_random.Next(4))
                {
                    case 0:
                    case 1:
                        Put(_random.Next(_rings));
                        break;
                    case 2 when _disk.PendingCount > 0:
                        _disk.Complete(_random.Next(_disk.PendingCount), RandomStatus());
                        break;
                    default:
                        TakeAnswers();
                        break;
                }

                _machine.Settle();
            }

            if (_random.Next(4) == 0)
            {
                DestroyWhileBusy();
                return;
            }

            Finish();
            Assert.Empty(_waiting);
            Assert.Equal(0, _garbage);
            Assert.Equal(_rings * _front.Rings[0].References.Length, _guest.PinCount);
            Assert.Equal(_model, _disk.Data);
        }

        private void Finish()
        {
            for (int i = 0; i < 10000 && (_disk.PendingCount > 0 || _waiting.Count > 0 || _garbage > 0); i++)
            {
                if (_disk.PendingCount > 0)
                {
                    _disk.Complete(_random.Next(_disk.PendingCount), RandomStatus());
                }

                _machine.Settle();
                TakeAnswers();
            }
        }

        private void DestroyWhileBusy()
        {
            _vbd.Destroy();
            _machine.Settle();
            while (_disk.PendingCount > 0)
            {
                Assert.Empty(_machine.Owner.Gone);
                _disk.Complete(_random.Next(_disk.PendingCount), RandomStatus());
                _machine.Settle();
            }

            Assert.Single(_machine.Owner.Gone);
            Assert.Equal(0, _guest.PinCount);
            Assert.Equal(0, _guest.BoundPorts);
        }

        private BlockStatus RandomStatus() => _random.Next(10) switch
        {
            0 => BlockStatus.Error,
            1 => BlockStatus.Unsupported,
            _ => BlockStatus.Success,
        };

        private void Put(int ring)
        {
            int count = _random.Next(1, 12);
            for (int i = 0; i < count && _front.Rings[ring].Free > 0; i++)
            {
                PutOne(ring);
            }

            _front.Rings[ring].Push();
        }

        private void PutOne(int ring)
        {
            switch (_random.Next(8))
            {
                case 0:
                    PutGarbage(ring);
                    break;
                case 1:
                    PutFlush(ring);
                    break;
                case 2:
                    PutDiscard(ring);
                    break;
                default:
                    PutTransfer(ring);
                    break;
            }
        }

        private void PutGarbage(int ring)
        {
            byte[] entry = new byte[108];
            _random.NextBytes(entry);
            entry[0] = (byte)_random.Next(8);
            entry[1] = (byte)_random.Next(14);
            // Grants that exist, sometimes, but no sector that does: the model needs no guess.
            entry[19] |= 0x80;
            entry[23] |= 0x80;
            if (entry[0] == 3 || entry[0] == 2)
            {
                entry[1] |= 1;
            }

            for (int i = 24; i < entry.Length; i += 4)
            {
                BitConverter.TryWriteBytes(entry.AsSpan(i), (uint)_random.Next(8, 40));
            }

            // Both layouts have an id where this one is unique.
            ulong id = _nextId++ + 1_000_000;
            BitConverter.TryWriteBytes(entry.AsSpan(4), (uint)id);
            BitConverter.TryWriteBytes(entry.AsSpan(8), (uint)id);
            BitConverter.TryWriteBytes(entry.AsSpan(12), (uint)id);
            _garbage++;
            _front.Rings[ring].PutRequest(entry);
        }

        private void PutFlush(int ring)
        {
            ulong id = _nextId++;
            BlkifOperation operation = _random.Next(2) == 0 ? BlkifOperation.FlushDiskCache : BlkifOperation.WriteBarrier;
            _waiting[id] = new Request { Operation = operation };
            _front.PutTransfer(ring, operation, id, 0, []);
        }

        private void PutDiscard(int ring)
        {
            ulong id = _nextId++;
            int block = (int)(_disk.Settings.LogicalBlockSize / 512);
            int first = _random.Next(Sectors / block) * block;
            int count = _random.Next(1, 20) * block;
            if (!TryClaim(first, count))
            {
                return;
            }

            bool valid = first + count <= Sectors && _disk.Settings.MaximumDiscardSectors >= block;
            _waiting[id] = new Request { Operation = BlkifOperation.Discard, First = first, Count = count, IsValid = valid };
            _front.PutDiscard(ring, id, (ulong)first, (ulong)count);
        }

        private void PutTransfer(int ring)
        {
            bool indirect = _random.Next(3) == 0;
            BlkifOperation operation = _random.Next(2) == 0 ? BlkifOperation.Read : BlkifOperation.Write;
            if (!indirect && _random.Next(12) == 0)
            {
                operation = BlkifOperation.WriteBarrier;
            }

            int count = _random.Next(1, indirect ? 40 : 12);
            Segment[] segments = new Segment[count];
            ulong[] frames = new ulong[count];
            int sectors = 0;
            for (int i = 0; i < count; i++)
            {
                int first = _random.Next(8);
                int last = _random.Next(first, 8);
                frames[i] = TakeFrame();
                segments[i] = new Segment(_guest.Grant(frames[i], operation != BlkifOperation.Read), (byte)first, (byte)last);
                sectors += last - first + 1;
            }

            int start = _random.Next(Sectors);
            if (_random.Next(4) != 0)
            {
                int block = (int)(_disk.Settings.LogicalBlockSize / 512);
                start -= start % block;
            }

            if (!TryClaim(start, sectors))
            {
                Drop(segments, frames);
                return;
            }

            ulong id = _nextId++;
            Request request = new()
            {
                Operation = operation,
                First = start,
                Count = sectors,
                Segments = segments,
                Frames = frames,
                IsValid = start + sectors <= Sectors,
            };
            _waiting[id] = request;
            if (indirect)
            {
                request.Page = TakeFrame();
                request.PageReference = _guest.Grant(request.Page, true);
                _front.PutIndirect(ring, operation, id, (ulong)start, request.Page, request.PageReference, segments);
            }
            else
            {
                _front.PutTransfer(ring, operation, id, (ulong)start, segments);
            }
        }

        /// <summary>Reserves sectors, so that no two requests in flight overlap.</summary>
        private bool TryClaim(int first, int count)
        {
            for (int i = first; i < Math.Min(first + count, Sectors); i++)
            {
                if (_busy[i])
                {
                    return false;
                }
            }

            for (int i = first; i < Math.Min(first + count, Sectors); i++)
            {
                _busy[i] = true;
            }

            return true;
        }

        private ulong TakeFrame()
        {
            ulong frame = _guest.NewFrame();
            _random.NextBytes(PhysicalMemory.Frame(frame));
            return frame;
        }

        private void TakeAnswers()
        {
            for (int ring = 0; ring < _rings; ring++)
            {
                foreach (Response response in _front.Take(ring))
                {
                    if (_waiting.Remove(response.Id, out Request? request))
                    {
                        Check(request, response);
                    }
                    else
                    {
                        Assert.True(--_garbage >= 0);
                        Assert.NotEqual(0, response.Status);
                    }
                }
            }
        }

        private void Check(Request request, Response response)
        {
            Assert.Equal((byte)request.Operation, response.Operation);
            if (request.Operation == BlkifOperation.FlushDiskCache || request.Segments.Length == 0 && request.Operation == BlkifOperation.WriteBarrier)
            {
                return;
            }

            for (int i = request.First; i < Math.Min(request.First + request.Count, Sectors); i++)
            {
                _busy[i] = false;
            }

            if (response.Status == 0)
            {
                Assert.True(request.IsValid);
                CheckData(request);
            }
            else if (request.IsValid && request.Operation != BlkifOperation.Read)
            {
                // A part may have been carried out.
                _disk.Data.AsSpan(request.First * 512, request.Count * 512).CopyTo(_model.AsSpan(request.First * 512));
            }

            Drop(request.Segments, request.Frames);
            if (request.Page != 0)
            {
                Drop([new Segment(request.PageReference, 0, 0)], [request.Page]);
            }
        }

        private void CheckData(Request request)
        {
            Span<byte> model = _model.AsSpan(request.First * 512, request.Count * 512);
            if (request.Operation == BlkifOperation.Discard)
            {
                model.Clear();
            }

            for (int i = 0; i < request.Segments.Length; i++)
            {
                int length = (request.Segments[i].Last - request.Segments[i].First + 1) * 512;
                Span<byte> memory = PhysicalMemory.Frame(request.Frames[i]).Slice(request.Segments[i].First * 512, length);
                if (request.Operation == BlkifOperation.Read)
                {
                    Assert.True(memory.SequenceEqual(model[..length]));
                }
                else
                {
                    memory.CopyTo(model);
                }

                model = model[length..];
            }
        }

        /// <summary>Ends grants and frees their pages: the backend must have let go of them.</summary>
        private void Drop(Segment[] segments, ulong[] frames)
        {
            for (int i = 0; i < segments.Length; i++)
            {
                Assert.True(_guest.EndGrant(segments[i].Reference));
                _guest.FreeFrame(frames[i]);
            }
        }

        private sealed class Request
        {
            internal BlkifOperation Operation;
            internal int First;
            internal int Count;
            internal bool IsValid;
            internal Segment[] Segments = [];
            internal ulong[] Frames = [];
            internal ulong Page;
            internal uint PageReference;
        }
    }
}
