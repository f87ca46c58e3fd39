// Every word that people read, by language. A further language is one more table with these keys.

const en = {
  title: "Firedamp",
  supervisory: "Supervisory display. The hardware lock-outs that cut power without a computer remain in force; nothing shown here replaces them.",
  "login.title": "Who is looking?", "login.label": "Access token", "login.go": "Show the mine",
  "login.refused": "This token is not valid, or no longer. Ask the engineer for a new one.",
  "login.forget": "Forget token",
  lost: "CONNECTION LOST", "lost.since": "Nothing received for {s}. What you see is OLD: it was so at {time}.",
  "lost.never": "Nothing received yet. This page shows no state of the mine.",
  "lost.late": "Data arrive {s} late. What you see is OLD.",
  "lost.many": "The gateway refuses: too many live pages are open.",
  "lost.act": "Use the telephone; act on what the sensors underground show.",
  "core.down": "GATEWAY CORE SILENT", "core.down.text": "No evaluation for {s}. Alarms are NOT being raised. Values are the last known.",
  "core.other_configuration": "NO VALUES", "core.other_configuration.text": "The core runs another configuration than this display. Restart the services process.",
  "core.none": "NO VALUES", "core.none.text": "The core has not run yet. Nothing is being monitored.",
  "summary.leave": "LEAVE: {zones} zones", "summary.leave1": "LEAVE: 1 zone", "summary.unacked": "{n} not acknowledged",
  "summary.normal": "Normal", "summary.uncommitted": "{n} events not yet on disk",
  leave: "Who must leave", "leave.none": "No withdrawal is ordered.", "leave.unknown": "Unknown: no current state.",
  "leave.people": "{n} people counted", "leave.nobody": "people not counted", "leave.now": "LEAVE NOW",
  alarms: "Alarms", "alarms.none": "No alarms. {usable} of {points} points good{rest}.",
  zones: "Zones, worst first", outputs: "Sirens, beacons and power cuts", links: "Connections",
  events: "What happened (newest first)", "events.none": "No events yet.",
  "col.mark": "Priority", "col.state": "State", "col.since": "Since", "col.place": "Place", "col.what": "What",
  "col.at": "At alarm", "col.now": "Now", "col.limit": "Limit", "col.source": "Rule", "col.ack": "Acknowledged by",
  "col.guidance": "What to do", "col.output": "Output", "col.demand": "On when", "col.zones": "Zones",
  "col.commanded": "Commanded", "col.readback": "Read back", "col.feed": "Load side", "col.link": "Connection",
  "col.good": "Good replies", "col.errors": "Errors", "col.last": "Last good", "col.reconnects": "Reconnects",
  "level.NORMAL": "Normal", "level.FAULT": "Fault", "level.ALERT": "Alert", "level.ALARM": "Alarm", "level.DANGER": "Danger",
  "demand.SOUND": "Sound alarm", "demand.CUT_POWER": "Cut power", "demand.WITHDRAW": "Leave", "demand.FAULT": "Fault",
  "demand.NONE": "-",
  "state.NORMAL": "Normal", "state.UNACKED": "NOT ACKNOWLEDGED", "state.ACKED": "Acknowledged",
  "state.RETURNED_UNACKED": "Gone, not acknowledged", "state.LATCHED": "Gone, waits for reset",
  "state.SHELVED": "Shelved", "state.OUT_OF_SERVICE": "Out of service",
  "kind.limit": "over limit", "kind.trend": "rising fast", "kind.vote": "several sensors", "kind.fault": "sensor fault",
  "kind.maintenance": "needs maintenance", "kind.lost": "monitoring lost", "kind.ladder": "main fan stopped",
  "kind.manual": "evacuation ordered by hand", "kind.found": "found switched on at start",
  "quality.GOOD": "good", "quality.UNCERTAIN": "UNCERTAIN", "quality.JUMP": "JUMP", "quality.STUCK": "STUCK",
  "quality.BAD_CLOCK": "CLOCK WRONG", "quality.UNRELIABLE": "UNRELIABLE", "quality.NO_DATA": "NO DATA",
  "quality.RETAINED": "OLD MESSAGE", "quality.STALE": "STALE", "quality.COMMS_LOST": "NO ANSWER",
  "quality.DEVICE_FAULT": "SENSOR FAULT", "quality.WARM_UP": "WARMING UP", "quality.CALIBRATION": "CALIBRATION",
  "quality.INHIBITED": "INHIBITED", "quality.DECODE_ERROR": "UNREADABLE", "quality.OVER_RANGE": "OVER RANGE",
  "quality.UNDER_RANGE": "UNDER RANGE", "quality.UNDEFINED": "UNDEFINED", "quality.LATE": "LATE",
  "word.fan_run": "stopped|running", "word.smoke": "no smoke|SMOKE", "word.air_duct": "no air|air", "word.door": "shut|open",
  "word.feed": "dead|live", "word.call_point": "not pressed|PRESSED", "word.agreement": "NO|yes", "word.health": "FAILED|works",
  "word.air_direction": "REVERSED|as planned",
  on: "ON", off: "off", unknown: "unknown", agrees: "agrees", disagrees: "DISAGREES", all: "whole mine", age: "{s} old",
  verified: "checked against the law: {v}", "v.yes": "yes", "v.partly": "partly", "v.no": "not yet", own: "site's own rule",
  exempt: "EXEMPTION until {date}, {authority}", uncommitted: "not yet on disk", until: "until {time}",
  connected: "connected", broken: "NOT CONNECTED", proven: "watchdog proven", unproven: "watchdog NOT proven",
  "unusable.n": "{n} of {points} points not usable", unverified: "unverified",
};

const zh = {
  title: "Firedamp",
  supervisory: "本页面仅为监视层。不依赖计算机的硬件断电闭锁仍然有效，此处内容不能代替它们。",
  "login.title": "请输入访问令牌", "login.label": "访问令牌", "login.go": "显示矿井",
  "login.refused": "令牌无效或已过期，请向工程师索取新令牌。", "login.forget": "清除令牌",
  lost: "连接中断", "lost.since": "已 {s} 未收到数据。所见为旧数据，时刻 {time}。",
  "lost.never": "尚未收到数据，本页面未显示矿井状态。", "lost.late": "数据迟到 {s}，所见为旧数据。",
  "lost.many": "网关拒绝连接：打开的实时页面过多。", "lost.act": "请使用电话，以井下传感器显示为准。",
  "core.down": "网关核心无响应", "core.down.text": "已 {s} 未进行判断，不会发出报警。数值为最后已知值。",
  "core.other_configuration": "无数值", "core.other_configuration.text": "核心运行的配置与本页面不同，请重启服务进程。",
  "core.none": "无数值", "core.none.text": "核心尚未运行，未进行任何监测。",
  "summary.leave": "撤人：{zones} 个区域", "summary.leave1": "撤人：1 个区域", "summary.unacked": "{n} 条未确认",
  "summary.normal": "正常", "summary.uncommitted": "{n} 条事件尚未落盘",
  leave: "须撤离人员", "leave.none": "无撤人指令。", "leave.unknown": "未知：没有当前状态。",
  "leave.people": "{n} 人", "leave.nobody": "人数未统计", "leave.now": "立即撤离",
  alarms: "报警", "alarms.none": "无报警。{points} 个测点中 {usable} 个正常{rest}。",
  zones: "区域（最严重者在前）", outputs: "警报器、信标与断电", links: "通信连接",
  events: "事件（最新在前）", "events.none": "尚无事件。",
  "col.mark": "优先级", "col.state": "状态", "col.since": "起始", "col.place": "地点", "col.what": "内容",
  "col.at": "报警值", "col.now": "当前值", "col.limit": "限值", "col.source": "依据", "col.ack": "确认人",
  "col.guidance": "处置", "col.output": "输出", "col.demand": "动作条件", "col.zones": "区域",
  "col.commanded": "指令", "col.readback": "回读", "col.feed": "负荷侧", "col.link": "连接",
  "col.good": "有效应答", "col.errors": "错误", "col.last": "最近有效", "col.reconnects": "重连",
  "level.NORMAL": "正常", "level.FAULT": "故障", "level.ALERT": "预警", "level.ALARM": "报警", "level.DANGER": "危险",
  "demand.SOUND": "声光报警", "demand.CUT_POWER": "断电", "demand.WITHDRAW": "撤人", "demand.FAULT": "故障",
  "demand.NONE": "-",
  "state.NORMAL": "正常", "state.UNACKED": "未确认", "state.ACKED": "已确认", "state.RETURNED_UNACKED": "已恢复，未确认",
  "state.LATCHED": "已恢复，待复位", "state.SHELVED": "已搁置", "state.OUT_OF_SERVICE": "停用",
  "kind.limit": "超限", "kind.trend": "快速上升", "kind.vote": "多传感器", "kind.fault": "传感器故障",
  "kind.maintenance": "需要维护", "kind.lost": "失去监测", "kind.ladder": "主要通风机停止",
  "kind.manual": "人工下令撤离", "kind.found": "启动时已处于动作状态",
  "quality.GOOD": "正常", "quality.UNCERTAIN": "不确定", "quality.JUMP": "突变", "quality.STUCK": "卡滞",
  "quality.BAD_CLOCK": "时钟错误", "quality.UNRELIABLE": "不可靠", "quality.NO_DATA": "无数据",
  "quality.RETAINED": "旧消息", "quality.STALE": "过期", "quality.COMMS_LOST": "通信中断",
  "quality.DEVICE_FAULT": "传感器故障", "quality.WARM_UP": "预热", "quality.CALIBRATION": "标校",
  "quality.INHIBITED": "抑制", "quality.DECODE_ERROR": "无法解读", "quality.OVER_RANGE": "超量程",
  "quality.UNDER_RANGE": "低于量程", "quality.UNDEFINED": "未定义", "quality.LATE": "迟到",
  "word.fan_run": "停止|运行", "word.smoke": "无烟|有烟", "word.air_duct": "无风|有风", "word.door": "关|开",
  "word.feed": "无电|有电", "word.call_point": "未按|已按", "word.agreement": "否|是", "word.health": "故障|正常",
  "word.air_direction": "反风|正常",
  on: "动作", off: "未动作", unknown: "未知", agrees: "一致", disagrees: "不一致", all: "全矿井", age: "{s} 前",
  verified: "与法规原文核对：{v}", "v.yes": "是", "v.partly": "部分", "v.no": "尚未", own: "矿方自定",
  exempt: "豁免至 {date}，{authority}", uncommitted: "尚未落盘", until: "至 {time}",
  connected: "已连接", broken: "未连接", proven: "看门狗已验证", unproven: "看门狗未验证",
  "unusable.n": "{points} 个测点中 {n} 个不可用", unverified: "未核对",
};

const tables = { en, zh };
let table = en;

export function speak(language) {
  table = tables[language] ?? en;
  document.documentElement.lang = table === zh ? "zh" : "en";
}

// A missing key shows itself rather than nothing.
export function say(key, values = {}) {
  const text = table[key] ?? en[key] ?? key;
  return text.replace(/\{(\w+)\}/g, (_, name) => values[name] ?? "");
}

export function has(key) {
  return key in en;
}
