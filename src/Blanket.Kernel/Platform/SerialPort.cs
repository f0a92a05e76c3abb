using System;
using Blanket.Machine;

namespace Blanket.Kernel.Platform;

/// <summary>
/// A 16550-compatible UART as a place for log lines: 115,200 baud, 8 data bits, no parity, polled. What is behind it may be a program of L0's side
/// that does not run for a while, so each wait may take a second; a device that never gets ready costs some of these in a row and then nothing any more.
/// </summary>
public sealed class SerialPort : LogSink
{
    /// <summary>I/O port of COM1.</summary>
    public const ushort Com1 = 0x3f8;

    private const ushort Ports = 8;
    private const int Data = 0, InterruptEnable = 1, FifoControl = 2, LineControl = 3, ModemControl = 4, LineStatus = 5, Scratch = 7;
    private const int DivisorLow = 0, DivisorHigh = 1;
    private const byte DivisorAccess = 0x80, EightBits = 0x03, FifoEnableAndClear = 0x07, DtrRtsOut2 = 0x0b;
    private const byte TransmitterEmpty = 0x20;
    private const int FifoSize = 16;
    private const ulong Patience = 1_000_000_000;

    // In case the time stands still.
    private const int MaximumPolls = 2_000_000;
    private const int MaximumTimeouts = 16;

    private readonly DeviceRegisters _registers;
    private int _room;
    private int _timeouts;

    private SerialPort(DeviceRegisters registers) => _registers = registers;

    /// <summary>Looks for a UART and sets it up.</summary>
    /// <param name="registers">Its 8 registers.</param>
    /// <returns>Null when there is none.</returns>
    public static SerialPort? Create(DeviceRegisters registers) => IsPresent(registers) ? CreateInitialized(registers) : null;

    /// <summary>Looks for a UART at the usual place of the first serial port.</summary>
    public static SerialPort? CreateCom1() => Create(DeviceRegisters.OfPorts(Com1, Ports));

    // The scratch register holds what is written to it; where nothing answers, ports read as ones.
    private static bool IsPresent(DeviceRegisters registers)
    {
        registers.Write8(Scratch, 0x5a);
        bool first = registers.Read8(Scratch) == 0x5a;
        registers.Write8(Scratch, 0xa5);
        return first && registers.Read8(Scratch) == 0xa5 && registers.Read8(LineStatus) != 0xff;
    }

    private static SerialPort CreateInitialized(DeviceRegisters registers)
    {
        registers.Write8(InterruptEnable, 0);
        registers.Write8(LineControl, DivisorAccess | EightBits);
        registers.Write8(DivisorLow, 1);
        registers.Write8(DivisorHigh, 0);
        registers.Write8(LineControl, EightBits);
        registers.Write8(FifoControl, FifoEnableAndClear);
        registers.Write8(ModemControl, DtrRtsOut2);
        return new SerialPort(registers);
    }

    /// <inheritdoc/>
    public override void Write(ReadOnlySpan<byte> bytes)
    {
        foreach (byte value in bytes)
        {
            if (_room == 0 && !WaitUntilEmpty())
            {
                return;
            }

            _registers.Write8(Data, value);
            _room--;
        }
    }

    // One status read a FIFO of 16 bytes: every access is an exit to L0.
    private bool WaitUntilEmpty()
    {
        if (_timeouts >= MaximumTimeouts)
        {
            return false;
        }

        ulong end = 0;
        for (int i = 0; i < MaximumPolls; i++)
        {
            if ((_registers.Read8(LineStatus) & TransmitterEmpty) != 0)
            {
                _room = FifoSize;
                _timeouts = 0;
                return true;
            }

            ulong now = SystemTime.Now;
            end = i == 0 ? now + Patience : end;
            if (now >= end)
            {
                break;
            }

            Cpu.Pause();
        }

        _timeouts++;
        return false;
    }
}
