namespace Blanket.Kernel.Platform.Time;

/// <summary>Dates of the Gregorian calendar as seconds since 1970-01-01 UTC, without leap seconds (POSIX.1-2017, 4.16).</summary>
internal static class CalendarTime
{
    private const int FirstYear = 1970, LastYear = 2199;

    /// <summary>Converts a date.</summary>
    /// <returns>False when there is no such date between 1970 and 2199.</returns>
    internal static bool TryToSeconds(int year, int month, int day, int hour, int minute, int second, out ulong seconds)
    {
        seconds = 0;
        if (year is < FirstYear or > LastYear || month is < 1 or > 12 || day < 1 || day > DaysOfMonth(year, month)
            || (uint)hour > 23 || (uint)minute > 59 || (uint)second > 59)
        {
            return false;
        }

        ulong days = (ulong)(day - 1);
        for (int i = 1; i < month; i++)
        {
            days += (ulong)DaysOfMonth(year, i);
        }

        for (int i = FirstYear; i < year; i++)
        {
            days += IsLeap(i) ? 366u : 365u;
        }

        seconds = ((days * 24 + (ulong)hour) * 60 + (ulong)minute) * 60 + (ulong)second;
        return true;
    }

    private static int DaysOfMonth(int year, int month) => month switch
    {
        2 => IsLeap(year) ? 29 : 28,
        4 or 6 or 9 or 11 => 30,
        _ => 31,
    };

    private static bool IsLeap(int year) => year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}
