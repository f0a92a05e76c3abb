using Blanket.Machine;

namespace Blanket.Kernel.Platform.Time;

/// <summary>The PC's battery-backed clock (Motorola MC146818A datasheet; ACPI 6.5, 4.8.2.4 for the century). Taken to keep UTC.</summary>
internal static class RealTimeClock
{
    private const ushort IndexPort = 0x70, DataPort = 0x71;
    private const byte Seconds = 0, Minutes = 2, Hours = 4, Day = 7, Month = 8, Year = 9, StatusA = 0x0a, StatusB = 0x0b;
    private const byte UpdateInProgress = 0x80, IsBinary = 4, Is24Hours = 2, AfternoonBit = 0x80;
    private const int MaximumPolls = 20_000;
    private const int Attempts = 5;

    private struct Fields
    {
        internal byte Seconds, Minutes, Hours, Day, Month, Year, Century;

        internal readonly bool Equals(in Fields other) =>
            Seconds == other.Seconds && Minutes == other.Minutes && Hours == other.Hours && Day == other.Day
            && Month == other.Month && Year == other.Year && Century == other.Century;
    }

    /// <summary>Reads the clock.</summary>
    /// <param name="centuryRegister">Register of the century (FADT); 0 for none: then the years are 2000 to 2099.</param>
    /// <param name="secondsSinceEpoch">Seconds since 1970-01-01 UTC.</param>
    /// <returns>False when there is no clock or it shows no date.</returns>
    internal static bool TryRead(byte centuryRegister, out ulong secondsSinceEpoch)
    {
        secondsSinceEpoch = 0;
        if (!TryReadTwice(centuryRegister, out Fields fields))
        {
            return false;
        }

        byte mode = ReadRegister(StatusB);
        bool isBinary = (mode & IsBinary) != 0;
        int hours = Decode((byte)(fields.Hours & ~AfternoonBit), isBinary);
        if ((mode & Is24Hours) == 0)
        {
            // 12 AM is 0, 12 PM is 12.
            hours = hours % 12 + ((fields.Hours & AfternoonBit) != 0 ? 12 : 0);
        }

        int century = centuryRegister != 0 ? Decode(fields.Century, isBinary) : 20;
        int year = century * 100 + Decode(fields.Year, isBinary);
        return CalendarTime.TryToSeconds(
            year, Decode(fields.Month, isBinary), Decode(fields.Day, isBinary), hours,
            Decode(fields.Minutes, isBinary), Decode(fields.Seconds, isBinary), out secondsSinceEpoch);
    }

    // The fields change one after the other during an update: two equal readings outside of updates belong together.
    private static bool TryReadTwice(byte centuryRegister, out Fields fields)
    {
        fields = default;
        for (int i = 0; i < Attempts; i++)
        {
            if (!WaitForUpdate())
            {
                return false;
            }

            fields = ReadFields(centuryRegister);
            if (WaitForUpdate() && ReadFields(centuryRegister).Equals(in fields))
            {
                return true;
            }
        }

        return false;
    }

    private static bool WaitForUpdate()
    {
        for (int i = 0; i < MaximumPolls; i++)
        {
            if ((ReadRegister(StatusA) & UpdateInProgress) == 0)
            {
                return true;
            }
        }

        return false;
    }

    private static Fields ReadFields(byte centuryRegister) => new()
    {
        Seconds = ReadRegister(Seconds),
        Minutes = ReadRegister(Minutes),
        Hours = ReadRegister(Hours),
        Day = ReadRegister(Day),
        Month = ReadRegister(Month),
        Year = ReadRegister(Year),
        Century = centuryRegister != 0 ? ReadRegister(centuryRegister) : (byte)0,
    };

    private static byte ReadRegister(byte register)
    {
        Cpu.PortWrite8(IndexPort, register);
        return Cpu.PortRead8(DataPort);
    }

    private static int Decode(byte value, bool isBinary) => isBinary ? value : (value >> 4) * 10 + (value & 15);
}
